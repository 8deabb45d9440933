"""The long fuzz, ``make fuzz``: many random calls and files, and every one that ended wrong."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from calls import check_call
from files import check_file


def many(what, check, first, count):
    """Run the checks of some seeds.

    Returns:
        How many ended neither in a result nor in a refusal.
    """
    start, ended = time.perf_counter(), {"results": 0, "refused": 0, "wrong": 0}
    for done in range(count):
        try:
            ended["results" if check(first + done) else "refused"] += 1
        except Exception as error:
            ended["wrong"] += 1
            print(f"{what}, seed {first + done}: {error}", flush=True)
        if (done + 1) % 500 == 0 or done + 1 == count:
            found = ", ".join(f"{number} {name}" for name, number in ended.items())
            print(f"{done + 1} {what}: {found}; {time.perf_counter() - start:.0f} s", flush=True)
    return ended["wrong"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument(
        "--first", type=int, default=1_000, help="the first seed; make test has those below"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = many("files", lambda seed: check_file(seed, Path(folder)), options.first, options.files)
    wrong += many("calls", check_call, options.first, options.calls)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
