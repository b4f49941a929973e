"""``python -m zipper``: see :mod:`zipper.cli`."""

import sys

from zipper.cli import main

if __name__ == "__main__":
    sys.exit(main())
