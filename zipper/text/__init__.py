"""Text side: subword tokenizer, and writing numbers and abbreviations out before synthesis."""
