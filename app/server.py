"""The server of the page: what it serves, how requests queue, which files it deletes, what it refuses."""

import contextlib
import threading
import time
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from app import page
from app.guard import Blocks, Guard
from app.settings import EXAMPLES, Settings, upload_folder
from zipper import Zipper, limits
from zipper.errors import DependencyError, OptionError

SESSIONS = 200  # whose state is kept at once; the least recently used is dropped first
SWEEP_AFTER = 2 * page.CLEAR_AFTER  # s, age from which files are deleted that Gradio itself has missed


def launch(model: Zipper, settings: Settings) -> gr.Blocks:
    """Start to serve the page. Raises OptionError when the port is taken, DependencyError without the MCP package."""
    if settings.mcp and find_spec("mcp") is None:
        raise DependencyError("The MCP server needs another package: pip install -r requirements-mcp.txt.")
    folder = upload_folder()
    blocks = page.build(model, examples=settings.model is None)
    kept = frozenset(_files(folder))  # files that the page itself shows
    blocks.queue(max_size=settings.queue_size, default_concurrency_limit=8, api_open=False)
    try:
        blocks.launch(**_options(settings, blocks), **page.appearance(), prevent_thread_lock=True)
    except OSError as error:  # Gradio found no free port
        raise OptionError(f"Port {settings.port or 'from 7860 on'} is in use; choose another with --port.") from error
    threading.Thread(target=_sweep_forever, args=(folder, kept), daemon=True).start()
    return blocks


def sweep(folder: Path, kept: Collection[Path] = (), age: float = SWEEP_AFTER) -> None:
    """Delete files older than `age` seconds and folders that they leave empty.

    Gradio itself deletes only files that a component has shown, not those of broken uploads or streams.
    """
    oldest = time.time() - age
    for path in sorted(_files(folder), reverse=True):  # the contents of a folder before the folder
        with contextlib.suppress(OSError):  # it is gone already, or the folder is not empty
            if path in kept or path.stat().st_mtime > oldest:
                continue
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def _files(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


def _sweep_forever(folder: Path, kept: Collection[Path]) -> None:
    while True:
        time.sleep(page.CLEAR_EVERY)
        sweep(folder, kept)


def _options(settings: Settings, blocks: Blocks) -> dict[str, Any]:
    return {
        "server_name": settings.host,
        "server_port": settings.port,
        "share": settings.share,
        "root_path": settings.root_path,
        "mcp_server": settings.mcp,
        "max_file_size": limits.MAX_UPLOAD_BYTES,
        "allowed_paths": [str(EXAMPLES)],
        "state_session_capacity": SESSIONS,
        "app_kwargs": {"middleware": [Middleware(Guard, page=blocks)]},
        "footer_links": ["api"],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,  # the page is small, and a second server in front of it would need node
        "quiet": True,
    }
