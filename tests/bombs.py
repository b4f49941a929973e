"""Small files that unpack to gigabytes."""

import struct
from pathlib import Path

BLOCK = 65_535  # frames of one FLAC block, the most


def silent_flac(path: Path, seconds: float, rate: int, channels: int) -> Path:
    """16-bit silence as FLAC: 40 bytes for 65,535 frames of 8 channels. rate: a multiple of 10 Hz."""
    blocks = -(-round(seconds * rate) // BLOCK)
    info = struct.pack(">HH", BLOCK, BLOCK) + bytes(6)
    info += (rate << 44 | (channels - 1) << 41 | 15 << 36 | blocks * BLOCK).to_bytes(8, "big") + bytes(16)
    with path.open("wb") as stream:
        stream.write(b"fLaC\x80" + len(info).to_bytes(3, "big") + info)
        for number in range(blocks):
            stream.write(_block(number, rate, channels))
    return path


def _block(number: int, rate: int, channels: int) -> bytes:
    head = b"\xff\xf8" + bytes([0x7E, (channels - 1) << 4 | 0b1000]) + chr(number).encode("utf-8", "surrogatepass")
    head += struct.pack(">HH", BLOCK - 1, rate // 10)
    head += _crc(head, 8, 0x07)
    body = head + bytes(3) * channels  # a constant of 0 in each
    return body + _crc(body, 16, 0x8005)


def _crc(data: bytes, bits: int, polynomial: int) -> bytes:
    top, mask, value = 1 << (bits - 1), (1 << bits) - 1, 0
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
    return value.to_bytes(bits // 8, "big")
