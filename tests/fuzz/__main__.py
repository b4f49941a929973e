"""`python -m tests.fuzz KIND`: damaged or random input, a thousand times; exit code 1 if any was not answered well."""

import argparse
import sys

from . import KINDS
from .runner import MEMORY_MB, run


def main() -> int:
    """Run one kind as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same input (default: %(default)s)")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one of them again")
    options = parser.parse_args()
    numbers = range(options.count) if options.only is None else [options.only]
    outcome = run(options.kind, numbers, options.seed)
    for answer, count in outcome.answers.most_common():
        print(f"{count:6}  {answer}")
    seconds, number = outcome.slowest
    print(f"{len(numbers)} attempts, the slowest {seconds:.1f} s (number {number}), at most {outcome.memory_mb} MB")
    for number, failure in outcome.failures:
        print(f"\nnumber {number} (--seed {options.seed} --only {number}): {failure}", file=sys.stderr)
    print(f"{len(outcome.failures)} failures: no traceback, at most {MEMORY_MB} MB and the limit of time are wanted")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
