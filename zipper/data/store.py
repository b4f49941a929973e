"""Arrays of many utterances in one flat file: features, tokens and labels, made once and read as memory maps."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from zipper.errors import ConfigError


class StoreWriter:
    """Appends (length, *row) arrays to FOLDER/data.bin and FOLDER/index.tsv; goes on where an earlier run ended."""

    def __init__(self, folder: Path, dtype: str, row: tuple[int, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.dtype, self.row = folder, np.dtype(dtype), row
        (folder / "format.txt").write_text(" ".join([self.dtype.name, *map(str, row)]) + "\n", encoding="utf-8")
        self.done = _read_index(folder) if (folder / "index.tsv").exists() else {}
        self.end = max((offset + length for offset, length in self.done.values()), default=0)
        self.data = (folder / "data.bin").open("ab")
        self.data.truncate(self.end * self._row_bytes)  # rows of an interrupted run that never reached the index
        self.index = (folder / "index.tsv").open("a", encoding="utf-8")

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.row, dtype=np.int64))

    def add(self, name: str, array: np.ndarray) -> None:
        """Append one utterance; the array is cast to the store's type."""
        if array.shape[1:] != self.row:
            raise ConfigError(f"{name}: rows of shape {array.shape[1:]} do not fit a store of {self.row}.")
        self.data.write(np.ascontiguousarray(array, self.dtype).tobytes())
        self.index.write(f"{name}\t{self.end}\t{len(array)}\n")
        self.done[name] = (self.end, len(array))
        self.end += len(array)

    def flush(self) -> None:
        """Data first: an index row must never point behind the end of the data."""
        self.data.flush()
        self.index.flush()

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()
        self.data.close()
        self.index.close()


class Store(Mapping[str, np.ndarray]):
    """Read-only view of a folder that StoreWriter made: id -> array (length, *row), not copied into memory."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "index.tsv").exists():
            raise ConfigError(
                f"{folder} holds no prepared data; run the stages `features`, `labels` and `tokens` first."
            )
        name, *row = (folder / "format.txt").read_text(encoding="utf-8").split()
        self.index = _read_index(folder)
        self.data = np.memmap(folder / "data.bin", dtype=name, mode="r").reshape(-1, *map(int, row))

    def __getitem__(self, name: str) -> np.ndarray:
        offset, length = self.index[name]
        return self.data[offset : offset + length]

    def length(self, name: str) -> int:
        """Rows of one utterance, without touching the data."""
        return self.index[name][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index)


class JoinedStores(Mapping[str, np.ndarray]):
    """Several stores, whose ids differ, read as one."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.store_of = {name: store for store in stores for name in store}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.store_of[name][name]

    def length(self, name: str) -> int:
        """Rows of one utterance, without touching the data."""
        return self.store_of[name].length(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.store_of)

    def __len__(self) -> int:
        return len(self.store_of)


def _read_index(folder: Path) -> dict[str, tuple[int, int]]:
    with (folder / "index.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {name: (int(offset), int(length)) for name, offset, length in rows}
