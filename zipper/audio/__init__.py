"""Recordings of any kind, opened as what their header says and their sound block by block.

Every kind takes the same way from there: :func:`zipper.audio.io.load_audio` holds each to the same limits, mixes its
channels down by the same rule and resamples it with the same filter, and never holds more than a block of the
original, so that a small file which unpacks to gigabytes is stopped before it fills the memory.
"""
