"""Measurements: recognition, synthesis, word times, language and speed, beside peers in the same run."""
