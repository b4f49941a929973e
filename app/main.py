"""Start the app, from any folder: `python -m app`, or `python app/main.py` as Spaces does."""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the model and serve the page until interrupted; returns the exit code."""
    _find_packages()
    from zipper.errors import ZipperError

    try:
        _serve(arguments)
    except ZipperError as error:
        print(f"app: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _serve(arguments: Sequence[str] | None) -> None:
    from app.settings import Settings, own_folder

    settings = Settings.from_arguments(arguments)  # before the slow imports, so that --help is quick
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    own_folder()  # Gradio looks at it when it is imported
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("zipper").setLevel(logging.INFO)
    from app import server
    from app.models import load

    model = load(settings.model)
    blocks = server.launch(model, settings)
    print(f"Zipper is at {blocks.share_url or blocks.local_url}", flush=True)
    try:
        threading.Event().wait()
    finally:
        server.close(blocks)


def _find_packages() -> None:
    """Put the repository's root on the path; started as a file, Python puts this folder there, whose modules have
    common names."""
    here = str(ROOT / "app")
    sys.path[:] = [str(ROOT), *(place for place in sys.path if place not in (str(ROOT), here))]


def run() -> None:
    """`main` as a process, which ends at once: torch aborts when Python winds down while it still computes."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
