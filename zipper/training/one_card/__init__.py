"""The whole training on one GPU that is there for minutes: packed data in, weights and tokens out."""
