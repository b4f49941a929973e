"""What training reads: corpora, features, labels, pairs of speech and text, and who is held out."""
