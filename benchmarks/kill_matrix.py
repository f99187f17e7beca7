"""Kill the processes of acquisitions at random moments, hundreds of times, and count what was lost.

    python benchmarks/kill_matrix.py [--kills 500] [--minutes 15] [--seed 1]

A run of the demo has workers, the recorder, the publisher and the daemon killed with SIGKILL; `locstream recover`,
itself killed now and then, has to make a finished run of what is left. Every page and every row is held to a run that
nobody disturbed.
It takes about a second a kill on two cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kill_matrix import KillMatrix


def main() -> int:
    """Print the table; return 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500, help="stop after so many kills (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60.0, help="or after so long (%(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="another number, other moments (%(default)s)")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-matrix-") as folder:
        matrix = KillMatrix(Path(folder), given.seed)
        matrix.learn()
        while matrix.tally.kills.total() < given.kills and time.monotonic() - began < 60 * given.minutes:
            matrix.run()
            print(f"\r{matrix.tally.kills.total()} kills, {matrix.tally.found.total()} losses", end="", file=sys.stderr)
    print(f"\n{matrix.tally.table()}\n\n{time.monotonic() - began:.0f} s")
    return 1 if matrix.tally.found.total() else 0


if __name__ == "__main__":
    sys.exit(main())
