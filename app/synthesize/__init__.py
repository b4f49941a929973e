"""The tab Synthesize."""
