"""How the app is started: its address, the length of its queue, and the limits of one request."""

import argparse
import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zipper import limits
from zipper.errors import StorageError

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "assets" / "examples"  # recordings and texts that the panels offer


@dataclass(frozen=True)
class Settings:
    """Options of the command line.

    root_path: the path under which a reverse proxy shows the app. mcp: also answer as an MCP server. model: the
    model folder, None for the one that comes along.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    share: bool = False
    queue_size: int = limits.MAX_WAITING
    root_path: str | None = None
    mcp: bool = False
    model: Path | None = None

    @classmethod
    def from_arguments(cls, arguments: Sequence[str] | None = None) -> "Settings":
        """Read the command line; options that set a limit change :mod:`zipper.limits` for this process."""
        options = build_parser().parse_args(arguments)
        limits.MAX_AUDIO_SECONDS = options.max_seconds
        limits.MAX_TEXT_CHARACTERS = options.max_characters
        limits.MAX_UPLOAD_BYTES = round(options.max_upload * 1000**2)
        limits.MAX_REQUEST_SECONDS = options.max_time
        return cls(
            host=options.host,
            port=options.port,
            share=options.share,
            queue_size=options.queue_size,
            root_path=options.root_path,
            mcp=options.mcp,
            model=options.model,
        )


def build_parser() -> argparse.ArgumentParser:
    """The parser of the launcher; settings of the environment, such as that of Spaces, are the defaults."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Start the web app of Zipper.")
    parser.add_argument(
        "--host",
        default=os.environ.get("GRADIO_SERVER_NAME", Settings.host),
        help="address to listen at, 0.0.0.0 for every one (default: %(default)s)",
    )
    parser.add_argument("--port", type=_port, help="port to listen at (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="also make a public link through gradio.live")
    parser.add_argument("--root-path", metavar="PATH", help="path under which a reverse proxy shows the app")
    parser.add_argument("--mcp", action="store_true", help="also answer as an MCP server; needs gradio[mcp]")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="model folder (default: the one that comes along)")
    group = parser.add_argument_group("limits", "what one request may take, so that the machine stays usable for all")
    group.add_argument(
        "--queue-size",
        type=_count,
        metavar="N",
        default=Settings.queue_size,
        help="requests that may wait; more are turned away (default: %(default)s)",
    )
    group.add_argument(
        "--max-seconds",
        type=_amount,
        metavar="S",
        default=limits.MAX_AUDIO_SECONDS,
        help="longest recording, in seconds (default: %(default)g)",
    )
    group.add_argument(
        "--max-characters",
        type=_count,
        metavar="N",
        default=limits.MAX_TEXT_CHARACTERS,
        help="longest text (default: %(default)s)",
    )
    group.add_argument(
        "--max-upload",
        type=_amount,
        metavar="MB",
        default=limits.MAX_UPLOAD_BYTES / 1000**2,
        help="largest file, in megabytes (default: %(default)g)",
    )
    group.add_argument(
        "--max-time",
        type=_amount,
        metavar="S",
        default=limits.MAX_REQUEST_SECONDS,
        help="wall clock of one request, in seconds (default: %(default)g)",
    )
    return parser


@functools.cache
def upload_folder() -> Path:
    """Create a folder for uploads and results of this process alone, which is deleted with it; returns its path.

    It is created in $GRADIO_TEMP_DIR, where that is set, beside other files there. Raises StorageError.
    """
    parent = os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()
    try:
        Path(parent).mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="zipper-", dir=Path(parent).resolve()))
    except OSError as error:
        raise StorageError(f"No folder for uploads can be made in {parent}: {error.strerror}.") from error
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _port(value: str) -> int:
    port = int(value)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port


def _count(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _amount(value: str) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number
