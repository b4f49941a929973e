"""Start the app, from any folder: `python -m app`, or `python app/main.py` as Spaces does."""

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


class Terminated(KeyboardInterrupt):
    """SIGTERM, with which docker and systemd stop a server: it is cleaned up after as Ctrl-C is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the model and serve the page until interrupted; returns the exit code."""
    _find_packages()
    from zipper.errors import ZipperError

    try:
        _serve(arguments)
    except ZipperError as error:
        print(f"app: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Terminated:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _serve(arguments: Sequence[str] | None) -> None:
    from app.settings import Settings, upload_folder

    settings = Settings.from_arguments(arguments)  # before the slow imports, so that --help is quick
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    signal.signal(signal.SIGTERM, _terminate)
    folder = upload_folder()  # Gradio looks at it when it is imported
    try:
        _serve_page(settings)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
        shutil.rmtree(folder, ignore_errors=True)  # uploads and results


def _serve_page(settings: "Settings") -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("zipper").setLevel(logging.INFO)
    from zipper import startup

    with startup.importing():
        from app import server
        from app.models import load_model

    blocks = server.launch(load_model(settings.model), settings)
    try:
        print(f"Zipper is at {blocks.share_url or blocks.local_url}", flush=True)
        threading.Event().wait()
    finally:
        blocks.close(verbose=False)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _find_packages() -> None:
    """Put the repository's root on the path; started as a file, Python puts this folder there, whose modules have
    common names."""
    here = str(ROOT / "app")
    sys.path[:] = [str(ROOT), *(path for path in sys.path if path not in (str(ROOT), here))]


def run() -> None:
    """`main` as a process, which ends at once: torch aborts if it still computes while Python shuts down."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
