"""The tab Transcribe."""
