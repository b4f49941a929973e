"""What people may hand in, damaged and made up at random: no traceback, bounded memory, bounded time.

`python -m tests.fuzz KIND --count 1000` tries a thousand; every module here that is named in `KINDS` is a kind:

- `prepare(folder)` makes once what the attempts start from;
- `attempt(number, seed, folder)` makes one input from the two numbers alone, uses it as a person would, and returns a
  few words on what came of it. A ZipperError is an answer too; anything else that it raises is a failure.
- `LIMIT_SECONDS` is the longest that an attempt may take.

Attempts run in a process of their own (`worker.py`), which may crash or hang without harm to the rest (`runner.py`).
"""

KINDS = ("files", "texts")
