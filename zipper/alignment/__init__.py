"""When each word is spoken, read from the cross-attention: heads, smoothing, time warping, words."""
