"""Speech and its tokens: the tokenizer with its quantizer, and the detokenizer with its vocoder."""
