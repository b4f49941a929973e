"""Generation from a fused model: sessions with caches, sampling, beam search, and the requests made of them."""
