"""The network: two decoder towers, the zips between them, and checkpoints."""
