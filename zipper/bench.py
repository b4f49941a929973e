"""`python -m zipper.bench`, the same as `python -m zipper bench`."""

import sys

from zipper.evaluation.bench import main

if __name__ == "__main__":
    sys.exit(main())
