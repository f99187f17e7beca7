"""How far an upload has come, in a terminal and in a log."""

from __future__ import annotations

from typing import Any

from locstream.upload.progress_bar import ProgressBar


class Screen:
    """Keeps what is printed."""

    def __init__(self, terminal: bool) -> None:
        self.text, self._terminal = "", terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return self._terminal


def test_a_bar_shows_bytes_rate_and_step() -> None:
    now = [0.0]
    screen: Any = Screen(terminal=True)
    bar = ProgressBar(screen, lambda: now[0])
    bar.show("run", "run.ome.tif", 0, 100_000_000)
    now[0] = 2.0
    bar.show("run", "run.ome.tif", 50_000_000, 100_000_000)
    assert screen.text.endswith("████████████             50.0 of 100.0 MB, 25.0 MB/s, run.ome.tif\033[K")
    bar.tell("run: is filed")
    assert screen.text.endswith("\nrun: is filed\n")


def test_a_log_gets_a_line_now_and_then() -> None:
    now = [0.0]
    screen: Any = Screen(terminal=False)
    bar = ProgressBar(screen, lambda: now[0])
    for second in range(100):
        now[0] = float(second)
        bar.show("run", "run.ome.tif", second * 10**6, 10**8)
    assert screen.text.count("\n") == 3
    assert screen.text.startswith("run: 30.0 of 100.0 MB, 1.0 MB/s, run.ome.tif\n")
