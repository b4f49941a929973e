"""What the first and last bytes of a file say: its kind, and how long it was when it was whole.

libsndfile takes a file that was cut for a shorter one without a word, and a recorder that lost its power leaves a
length of zero before an hour of sound. Both are seen by comparing the sizes in the header with that of the file.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

Marks: TypeAlias = tuple[tuple[int, bytes], ...]  # (offset, bytes) that a file of some kind holds


class Kind(NamedTuple):
    """A container: ffmpeg's demuxer, and its name for people."""

    demuxer: str
    name: str


class Chunks(NamedTuple):
    """How a file is divided: where its first chunk begins, the bytes of a length, their order, and what is added to
    odd lengths.
    """

    start: int
    length_bytes: int
    order: Literal["little", "big"]
    padding: int


RIFF, CAF = Chunks(12, 4, "little", 1), Chunks(8, 8, "big", 0)


class Header(NamedTuple):
    """What the bytes of a file tell.

    head: its first bytes. missing: the share of its own size that it lacks, 0 for a whole file. patch: an offset and
    the bytes to read there instead, for a file that states no length though its samples follow.
    """

    head: bytes
    missing: float
    patch: tuple[int, bytes] | None


HEAD_BYTES = 4096  # bytes from the start of a file that tell its kind
MOST_CHUNKS = 1000  # chunks of a WAV or CAF file that are looked at
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # the object of a WMA file that states its size
OGG_PAGE_BYTES = 27 + 255 + 255 * 255  # bytes of the largest page

# How the kinds begin that libsndfile does not read. The demuxer is always named to ffmpeg, so that a
# playlist in disguise never makes it open other files.
FFMPEG_ONLY: tuple[tuple[Marks, Kind], ...] = (
    (((0, b"\x1aE\xdf\xa3"),), Kind("matroska", "WebM")),
    (((4, b"ftyp"),), Kind("mov", "MP4")),
    (((4, b"moov"),), Kind("mov", "QuickTime")),
    (((4, b"mdat"),), Kind("mov", "QuickTime")),
    (((4, b"wide"),), Kind("mov", "QuickTime")),
    (((0, b"\xff\xf0"),), Kind("aac", "AAC")),
    (((0, b"\xff\xf1"),), Kind("aac", "AAC")),
    (((0, b"\xff\xf8"),), Kind("aac", "AAC")),
    (((0, b"\xff\xf9"),), Kind("aac", "AAC")),
    (((0, b"\x30\x26\xb2\x75"),), Kind("asf", "WMA")),
    (((0, b"RIFF"), (8, b"AVI ")), Kind("avi", "AVI")),
    (((0, b"FLV\x01"),), Kind("flv", "FLV")),
    (((0, b"\0\0\1\xba"),), Kind("mpeg", "MPEG")),
    (((0, b"G"), (188, b"G"), (376, b"G")), Kind("mpegts", "MPEG-TS")),
    (((4, b"G"), (196, b"G"), (388, b"G")), Kind("mpegts", "MPEG-TS")),  # with a time before each packet
    (((0, b"#!AMR"),), Kind("amr", "AMR")),
    (((0, b"wvpk"),), Kind("wv", "WavPack")),
)

# Kinds that libsndfile reads with some codecs only: WAV with G.722, Ogg with FLAC or Speex, CAF with AAC
SOMETIMES_FFMPEG: tuple[tuple[Marks, Kind], ...] = (
    (((0, b"RIFF"), (8, b"WAVE")), Kind("wav", "WAV")),
    (((0, b"OggS"),), Kind("ogg", "Ogg")),
    (((0, b"caff"),), Kind("caf", "CAF")),
    (((0, b"FORM"), (8, b"AIFC")), Kind("aiff", "AIFF")),
)

# How the kinds begin that libsndfile reads with every codec; one that cannot be opened is damaged
KNOWN = (b"fLaC", b"FORM", b"RF64", b"riff", b".snd", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa")


def ffmpeg_kind(head: bytes) -> Kind | None:
    """The kind of a file that only ffmpeg reads."""
    return _find(FFMPEG_ONLY, head)


def other_codec(head: bytes) -> Kind | None:
    """The kind of a file that ffmpeg may read where libsndfile cannot."""
    return _find(SOMETIMES_FFMPEG, head)


def is_known(head: bytes) -> bool:
    """Whether a file begins as a recording does."""
    return head.startswith(KNOWN)


def read_header(stream: BinaryIO, size: int) -> Header:
    """Examine a file of `size` bytes."""
    head = stream.read(HEAD_BYTES)
    patch = None
    if head[:4] == b"OggS":
        stated = 2 * size if _ogg_is_cut(stream, size) else size  # how much is missing, nobody knows
    elif head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        samples = _samples(stream, size, RIFF)
        stated = _wav_end(head, samples, size)
        patch = _unstated(stream, samples, size)
    elif head[:4] == b"caff":
        samples = _samples(stream, size, CAF)
        stated = sum(samples) if samples and samples[1] < 1 << 62 else 0  # all ones: until the end
    else:
        stated = _stated_end(head)
    return Header(head, max(0, stated - size) / size, patch)


def _find(table: tuple[tuple[Marks, Kind], ...], head: bytes) -> Kind | None:
    for marks, kind in table:
        if all(head[offset : offset + len(mark)] == mark for offset, mark in marks):
            return kind
    return None


def _stated_end(head: bytes) -> int:
    """Bytes of the whole file by its header; 0 where it does not say."""
    if head[:4] == b"FORM":
        return 8 + int.from_bytes(head[4:8], "big")
    if head[:4] == b"RIFF":  # AVI
        return 8 + int.from_bytes(head[4:8], "little")
    if head[:4] == b"RF64" and head[12:16] == b"ds64":
        return 8 + int.from_bytes(head[20:28], "little")
    if head[:4] == b"riff":  # Wave64
        return int.from_bytes(head[16:24], "little")
    if head[:4] == b".snd" and head[8:12] != b"\xff" * 4:
        return int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
    properties = head.find(ASF_PROPERTIES)
    if properties >= 0:
        return int.from_bytes(head[properties + 40 : properties + 48], "little")
    return 0


def _wav_end(head: bytes, samples: tuple[int, int] | None, size: int) -> int:
    """Bytes of a whole WAV file.

    A file was cut where both its own size and that of its samples reach beyond its end. One of the two alone, or one
    that no file reaches, was written by a program that did not know the length.
    """
    whole = 8 + int.from_bytes(head[4:8], "little")
    if samples is None:
        return whole
    unknown = samples[1] >= 0x7FFFFFFF - 0xFFF
    return 0 if unknown or whole <= size else min(sum(samples), whole)


def _unstated(stream: BinaryIO, samples: tuple[int, int] | None, size: int) -> tuple[int, bytes] | None:
    """A length for a WAV file that states 0 before its samples: so ends a recorder that lost its power."""
    if samples is None or samples[1] != 0 or samples[0] >= size or _chunks_to_end(stream, samples[0], size):
        return None
    return samples[0] - 4, min(size - samples[0], 0xFFFFFFFF).to_bytes(4, "little")


def _samples(stream: BinaryIO, size: int, chunks: Chunks) -> tuple[int, int] | None:
    """Place and stated length of the samples, wherever they begin; None where there are none."""
    for name, position, length in _walk(stream, chunks.start, size, chunks):
        if name == b"data":
            return position, length
    return None


def _chunks_to_end(stream: BinaryIO, position: int, size: int) -> bool:
    """Whether nothing but whole chunks follow in a WAV file, up to its end."""
    end = position
    for name, start, length in _walk(stream, position, size, RIFF):
        if not all(0x20 <= letter < 0x7F for letter in name):
            return False
        end = start + length + length % 2
    return end in (size, size + 1)  # the last byte of padding is often left out


def _walk(stream: BinaryIO, position: int, size: int, chunks: Chunks) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and stated length of each chunk from a position on."""
    for _ in range(MOST_CHUNKS):
        stream.seek(position)
        head = stream.read(4 + chunks.length_bytes)
        if len(head) < 4 + chunks.length_bytes:
            return
        length, position = int.from_bytes(head[4:], chunks.order), position + len(head)
        yield head[:4], position, length
        position += length + chunks.padding * (length % 2)
        if position >= size:
            return


def _ogg_is_cut(stream: BinaryIO, size: int) -> bool:
    """Whether an Ogg file ends within a page, by the page's own table of sizes."""
    start = max(0, size - OGG_PAGE_BYTES)
    stream.seek(start)
    tail = stream.read(OGG_PAGE_BYTES)
    page = tail.rfind(b"OggS")
    if page < 0:
        return False
    if page + 27 > len(tail):
        return True
    table = tail[page + 27 : page + 27 + tail[page + 26]]
    return page + 27 + tail[page + 26] + sum(table) > len(tail)


class Patched:
    """A file with a few bytes read as others, for libraries that take a file object."""

    def __init__(self, stream: BinaryIO, offset: int, data: bytes) -> None:
        self._stream, self._offset, self._data = stream, offset, data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of a file."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """As of a file."""
        return self._stream.tell()

    def read(self, count: int = -1) -> bytes:
        """As of a file, with the patch in place."""
        start = self._stream.tell()
        got = bytearray(self._stream.read(count))
        for index, value in enumerate(self._data, start=self._offset - start):
            if 0 <= index < len(got):
                got[index] = value
        return bytes(got)
