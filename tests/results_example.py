"""Headers, localizations and frame records for the tests of results and formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from locstream.localizations import Localizations, empty
from locstream.results.frames import FrameOutcome, FrameRecords, frame_records
from locstream.results.header import ResultsHeader
from locstream.results.layout import LIVE
from locstream.results.recover import Recovered, clean, recover_results

HEIGHT, WIDTH, PIXEL_SIZE_NM = 48, 64, 130.0


def header(**changes: Any) -> ResultsHeader:
    known: dict[str, Any] = {
        "acquisition_id": "a1b2",
        "name": "cell 1",
        "height": HEIGHT,
        "width": WIDTH,
        "pixel_size_nm": PIXEL_SIZE_NM,
        "started_s": 1_700_000_000.5,
        "camera": "Demo µ",
        "fit": {"box_px": 7},
    }
    return ResultsHeader(**known | changes)


def localizations(frames: npt.ArrayLike, seed: int = 0) -> Localizations:
    """Plausible rows, the same for the same arguments, anywhere in the frame."""
    numbers = np.atleast_1d(np.asarray(frames, np.uint32))
    random = np.random.default_rng([seed, 1])
    rows = empty(len(numbers))
    rows["frame"] = numbers
    rows["x_nm"] = random.uniform(0, (WIDTH - 0.001) * PIXEL_SIZE_NM, len(rows))
    rows["y_nm"] = random.uniform(0, (HEIGHT - 0.001) * PIXEL_SIZE_NM, len(rows))
    for name in rows.dtype.names[3:14]:
        rows[name] = random.gamma(3, 50, len(rows))
    rows["iterations"] = random.integers(1, 20, len(rows))
    rows["status"] = random.integers(0, 3, len(rows))
    return rows


def names(folder: Path) -> list[str]:
    """What is in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())


def recover(folder: Path) -> list[Recovered]:
    """Finish every live results file in a folder, and tidy up."""
    found = [recover_results(live) for live in sorted(folder.glob(f"*{LIVE}"))]
    clean(folder)
    return found


def batch(first: int, n_frames: int, *, seed: int = 0, per_frame: int = 20) -> tuple[Localizations, FrameRecords]:
    """Frames ``first`` … with their rows: some frames are empty, some skipped, some failed."""
    random = np.random.default_rng([seed, first])
    numbers = np.arange(first, first + n_frames)
    outcomes = random.choice(
        [FrameOutcome.FITTED, FrameOutcome.SKIPPED, FrameOutcome.FAILED], n_frames, p=[0.9, 0.05, 0.05]
    )
    rows = np.where(outcomes == FrameOutcome.FITTED, random.integers(0, 2 * per_frame + 1, n_frames), 0)
    records = frame_records(numbers, 1_700_000_000 + 0.01 * numbers, rows, outcomes)
    return localizations(np.repeat(numbers, rows), seed + first), records
