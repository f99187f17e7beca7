"""A process that forks writers of results files on demand, so that many can be killed in little time.

    python results_writers.py

reads lines ``append PATH`` or ``finalize PATH``, forks a writer for each, kills it at the next line, and says
``gone``. A writer tells what it has done on the same standard output: ``committed K`` after batch K is committed,
``started`` and ``finished`` around finishing a file. Its batches are those of `results_example.batch`: the same for
the same number.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.layout import final_path
from results_example import batch, header

FRAMES_IN_BATCH = 5
BATCHES = 100_000


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def append(path: Path) -> None:
    with ResultsWriter(path, header()) as writer:
        for number in range(BATCHES):
            writer.append(*batch(number * FRAMES_IN_BATCH, FRAMES_IN_BATCH))
            say(f"committed {number}")


def finish(path: Path) -> None:
    say("started")
    finalize(path, final_path(path))
    say("finished")


def main() -> None:
    for line in sys.stdin:
        verb, path = line.split(maxsplit=1)
        pid = os.fork()
        if pid == 0:
            {"append": append, "finalize": finish}[verb](Path(path.strip()))
            os._exit(0)
        sys.stdin.readline()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        say("gone")


if __name__ == "__main__":
    main()
