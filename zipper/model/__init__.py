"""The network: two decoder towers, the zips between them, generation, and checkpoints."""
