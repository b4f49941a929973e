"""One process that makes attempts, one after the other, and reports each as a line of JSON.

`python -m tests.fuzz.worker KIND SEED FOLDER NUMBER…`
"""

import json
import os
import re
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

from zipper.errors import ZipperError


def main() -> None:
    """Make the attempts that the command line names."""
    kind, seed, folder, *numbers = sys.argv[1:]
    module = import_module(f"{__package__}.{kind}")
    report = os.fdopen(os.dup(1), "w")  # whatever libraries print goes to stderr, and not between the reports
    os.dup2(2, 1)
    for number in map(int, numbers):
        begun = time.monotonic()
        found = {"number": number, **_attempt(module, number, int(seed), Path(folder))}
        found.update(seconds=round(time.monotonic() - begun, 2), **_peaks())
        print(json.dumps(found), file=report, flush=True)


def _attempt(module: object, number: int, seed: int, folder: Path) -> dict[str, str]:
    try:
        return {"answer": module.attempt(number, seed, folder)}  # type: ignore[attr-defined]
    except ZipperError as error:
        said = str(error)
        if not said.endswith(".") or "\n" in said or not said.isprintable():
            return {"failure": f"not one sentence: {said!r}"}
        return {"said": said}
    except BaseException:
        return {"failure": traceback.format_exc()}


def _peaks() -> dict[str, int]:
    """MB that this process, and the largest of those that it started, have held at most so far."""
    import resource

    units = 1 if sys.platform == "darwin" else 1024  # bytes there, KB elsewhere
    own, child = (
        resource.getrusage(who).ru_maxrss * units // 1024**2 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    status = Path("/proc/self/status")  # Linux, where ru_maxrss counts what the parent held at its start
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+)", status.read_text())):
        own = int(peak[1]) // 1024
    return {"own_mb": own, "child_mb": child}


if __name__ == "__main__":
    main()
