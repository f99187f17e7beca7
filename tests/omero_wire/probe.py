"""A process that has omero-py and does over the wire what a test says, one step after the other (wire_probe.py)."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
PATIENCE_S = 120


class WireError(Exception):
    """What the server answered instead of a result: the name of the exception, and its message."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(f"{answer['error']}: {answer['message']}")
        self.name: str = answer["error"]
        self.message: str = answer["message"]
        self.failing: dict[str, str] = answer.get("failing", {})


class Probe:
    """The functions of wire_probe.py by their names: ``probe("login", "a", url=…)``."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(HERE / "wire_probe.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __call__(self, do: str, *args: Any, **named: Any) -> Any:
        """Do one thing.

        Raises
        ------
        WireError
            The server answered with an exception.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, "args": args, **named}) + "\n")
        self._process.stdin.flush()
        watch = threading.Timer(PATIENCE_S, self._process.kill)
        watch.start()
        line = self._process.stdout.readline()
        watch.cancel()
        if not line:
            raise RuntimeError(f"{do}: the probe ended with status {self._process.wait(60)}")
        answer = json.loads(line)
        if "error" in answer:
            raise WireError(answer)
        return answer["result"]
