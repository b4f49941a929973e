"""Where the weights are: in a folder that is named, in ZIPPER_HOME, in the checkout, or fetched once from a hub.

weights.json lists what the package of this version needs, with SHA-256 hashes: nothing else is ever taken from the hub.
`python -m zipper.weights FOLDER --revision NAME` writes that list from a model folder.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from zipper import files
from zipper.errors import StorageError, WeightsError, ZipperError

HUB_REPOSITORY = "zipper-speech/zipper"
HOME_VARIABLE = "ZIPPER_HOME"
ASSETS = Path(__file__).resolve().parents[1] / "assets"  # of a checkout; an installed package has none
LIST_FILE = Path(__file__).with_name("weights.json")
MODEL_FOLDER, SPEECH_TOKENIZER_FOLDER, DETOKENIZER_FOLDER = "zipper", "speech_tokenizer", "detokenizer"
PARTS = (MODEL_FOLDER, SPEECH_TOKENIZER_FOLDER, DETOKENIZER_FOLDER)
OTHERWISE = (
    f"set {HOME_VARIABLE} to the folder assets of a checkout, or name it with --model or from_pretrained(folder)"
)
LONGEST_REASON = 200  # characters of what a library says that are passed on

LOG = logging.getLogger("zipper.weights")


@dataclass(frozen=True)
class Entry:
    """What a file must be: its SHA-256 in hexadecimal digits and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class WeightsList:
    """The files of one release of the weights by their path in the model folder; revision: a tag on the hub."""

    revision: str
    files: dict[str, Entry]

    @classmethod
    def read(cls, path: Path = LIST_FILE) -> "WeightsList":
        """The list that comes with the package."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(data["revision"], {name: Entry(**entry) for name, entry in data["files"].items()})

    @classmethod
    def of_folder(cls, folder: Path, revision: str) -> "WeightsList":
        """The list of a model folder, of its three parts alone. Raises WeightsError where one is missing."""
        check_folder(folder)
        found = [path for part in PARTS for path in (folder / part).rglob("*") if path.is_file()]
        return cls(revision, {path.relative_to(folder).as_posix(): _entry(path) for path in sorted(found)})

    def to_json(self) -> str:
        """What `read` reads."""
        return json.dumps(asdict(self), indent=1) + "\n"


def find(folder: str | os.PathLike[str] | None = None) -> Path:
    """The model folder to load: the one that is named, else that of ZIPPER_HOME, else the checkout's, else the hub's.

    Only where the first three are missing is the network used, and only once. Raises WeightsError or StorageError.
    """
    if folder is not None:
        return Path(folder)
    if home := os.environ.get(HOME_VARIABLE):
        if not Path(home).is_dir():
            raise WeightsError(f"There is no folder {home}, which {HOME_VARIABLE} names.")
        return Path(home)
    if any((ASSETS / part).is_dir() for part in PARTS):
        return ASSETS
    return fetched(WeightsList.read())


def check_folder(folder: Path) -> None:
    """Raise WeightsError where one of the three parts of a model is missing."""
    for part in PARTS:
        if not (folder / part).is_dir():  # also where the name itself is impossible
            raise WeightsError(f"There is no model in {folder}: the folder {part} is missing.")


def fetched(wanted: WeightsList) -> Path:
    """The folder with the files of a list, which are fetched from the hub if they have not been before.

    The folder gets its name once each file in it has been checked, so that it is complete or not there; what an
    interrupted call had fetched is used by the next one. Processes that fetch at once wait for the first.
    """
    digest = hashlib.sha256(wanted.to_json().encode()).hexdigest()
    folder = _cache() / f"{wanted.revision}-{digest[:12]}"
    if _complete(folder, wanted):
        return folder
    try:
        import filelock  # comes with huggingface_hub
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"No weights were found: {OTHERWISE}; or pip install huggingface_hub, and they are fetched once."
        ) from error
    partial = folder.with_name(folder.name + ".partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(folder.name + ".lock")):
            if not _complete(folder, wanted):
                if folder.exists():  # a file has been lost since: the others are used
                    shutil.rmtree(partial, ignore_errors=True)
                    folder.rename(partial)
                _fill(partial, wanted)
                shutil.rmtree(partial / ".cache", ignore_errors=True)  # notes of huggingface_hub
                partial.rename(folder)
    except OSError as error:
        raise StorageError(f"The weights cannot be stored in {folder.parent}: {error.strerror or error}.") from error
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the list of a model folder; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m zipper.weights", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="model folder, such as assets")
    parser.add_argument(
        "--revision", required=True, help=f"tag that these files have, or will have, in {HUB_REPOSITORY}"
    )
    parser.add_argument("-o", "--output", type=Path, default=LIST_FILE, help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        files.save(options.output, WeightsList.of_folder(options.folder, options.revision).to_json().encode())
    except ZipperError as error:
        print(f"zipper: {error}", file=sys.stderr)
        return 2
    return 0


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zipper"


def _entry(path: Path) -> Entry:
    with path.open("rb") as stream:
        return Entry(hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size)


def _complete(folder: Path, wanted: WeightsList) -> bool:
    """Whether a folder of files that were checked before still has all of them, by their sizes."""
    try:
        return all((folder / name).stat().st_size == entry.size for name, entry in wanted.files.items())
    except OSError:
        return False


def _fill(folder: Path, wanted: WeightsList) -> None:
    """Fetch what is not in the folder yet or not as it must be; a file that is not what was listed is removed."""
    missing = [name for name, entry in wanted.files.items() if not _is(folder / name, entry)]
    size = sum(wanted.files[name].size for name in missing)
    for number, name in enumerate(missing):
        (folder / name).unlink(missing_ok=True)
        _download(name, wanted.revision, folder, ask_first=number == 0)
        if number == 0:
            LOG.info("fetching %.0f MB of weights, once, into %s", size / 1e6, folder.parent)
        if not _is(folder / name, wanted.files[name]):
            (folder / name).unlink(missing_ok=True)
            raise WeightsError(
                f"{name} of {HUB_REPOSITORY} is not the file that this version needs, its SHA-256 differs: "
                f"try again, or {OTHERWISE}."
            )


def _is(path: Path, entry: Entry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size and _entry(path) == entry


def _download(name: str, revision: str, folder: Path, ask_first: bool) -> None:
    """Fetch one file; huggingface_hub writes it under another name until it is whole.

    ask_first: ask once whether the hub answers, as the library would try for half a minute before it says that not.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        if ask_first:
            get_hf_file_metadata(hf_hub_url(HUB_REPOSITORY, name, revision=revision))
        hf_hub_download(HUB_REPOSITORY, name, revision=revision, local_dir=folder)
    except Exception as error:  # its own classes, OSError, and those of a client for HTTP that changes with its version
        _tell(error, revision, folder)


def _tell(error: Exception, revision: str, folder: Path) -> NoReturn:
    """Raise what went wrong in one sentence."""
    from huggingface_hub import errors

    missing = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError)
    if isinstance(error, missing):
        raise WeightsError(
            f"The hub has no public repository {HUB_REPOSITORY} with these weights (revision {revision}): {OTHERWISE}."
        ) from error
    network = isinstance(error, (ConnectionError, TimeoutError))
    if isinstance(error, OSError) and error.errno and not network:
        raise StorageError(f"The weights cannot be stored in {folder}: {error.strerror}.") from error
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:LONGEST_REASON]
    raise WeightsError(f"The weights cannot be fetched from the hub ({reason}): try again, or {OTHERWISE}.") from error


if __name__ == "__main__":
    sys.exit(main())
