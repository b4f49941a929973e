"""`python -m zipper.evaluate`, the same as `python -m zipper evaluate`."""

import sys

from zipper.evaluation.cli import main

if __name__ == "__main__":
    sys.exit(main())
