"""A process that is told something in a line, and answers with a line of JSON."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

PATIENCE_S = 240


class Answering:
    """One such process; it ends when nothing more is told to it. Use it as a context manager.

    Parameters
    ----------
    command
        What is run.
    errors
        Where its errors go: a file, or `subprocess.DEVNULL`; None for those of this process.
    variables
        Its environment; None for that of this process.
    """

    def __init__(
        self, command: Sequence[str], errors: IO[str] | int | None = None, variables: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=variables
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def tell(self, line: str) -> None:
        """Tell it something, and wait for nothing."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return its next answer.

        Raises
        ------
        RuntimeError
            It has ended, or was ended because it did not answer.
        """
        assert self._process.stdout is not None
        watch = threading.Timer(PATIENCE_S, self._process.kill)
        watch.start()
        line = self._process.stdout.readline()
        watch.cancel()
        if not line:
            raise RuntimeError(f"it ended with status {self._process.wait(PATIENCE_S)}: {self._process.args!r}")
        return json.loads(line)

    def close(self) -> None:
        """See it end; one that does not is killed, and that is an error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
