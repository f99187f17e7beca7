"""A run as a killed acquisition leaves it, made without one: a stack of spots, and results of some of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from locstream.bundle.files import RunFiles
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, Localizer
from locstream.formats.picasso import PicassoRows, to_picasso
from locstream.localizations import Localizations
from locstream.results.file import ResultsWriter
from locstream.results.frames import FrameOutcome, FrameRecords, frame_records
from locstream.results.header import ResultsHeader
from locstream.stacks.live import LiveStackWriter
from locstream.stacks.source import Image, SourceInfo

HEIGHT, WIDTH = 32, 40
PAGES = 30
NUMBERS = [page + page // 7 for page in range(PAGES)]
"""The camera has dropped a frame now and then."""

CALIBRATION = CameraCalibration(
    100.0,
    offset_adu=np.random.default_rng(1).normal(100, 2, (HEIGHT, WIDTH)).astype(np.float32),
    gain_e_per_adu=0.5,
    read_noise_e=1.0,
    saturation_adu=65535.0,
)
OPTIONS = FitOptions(threshold=4.5)


def image(page: int) -> Image:
    """Return a frame with two molecules."""
    rng = np.random.default_rng(page)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    light = np.full((HEIGHT, WIDTH), 8.0)
    for x, y in ((8 + page % 20, 10.3), (20.6, 8 + page % 15)):
        light += 1200 / (2 * np.pi * 1.3**2) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.3**2))
    return np.rint(rng.poisson(light) / 0.5 + CALIBRATION.offset_adu).astype(np.uint16)


def time_s(page: int) -> float:
    return 1_700_000_000.0 + 0.02 * NUMBERS[page]


_localizer = Localizer(CALIBRATION, HEIGHT, WIDTH, OPTIONS)
ROWS = [_localizer(image(page), NUMBERS[page]) for page in range(PAGES)]
"""What a plain loop finds in each page."""


def rows_of(pages: Sequence[int]) -> Localizations:
    return np.concatenate([ROWS[page] for page in pages])


def records_of(pages: Sequence[int], outcome: FrameOutcome = FrameOutcome.FITTED) -> FrameRecords:
    return frame_records(
        [NUMBERS[p] for p in pages], [time_s(p) for p in pages], [len(ROWS[p]) for p in pages], outcome
    )


def stored(pages: Sequence[int]) -> PicassoRows:
    return to_picasso(rows_of(pages), CALIBRATION.pixel_size_nm)


def header(**changes: Any) -> ResultsHeader:
    found = ResultsHeader.from_source(
        SourceInfo(camera="simulated", width=WIDTH, height=HEIGHT, exposure_ms=20.0, bit_depth=16),
        CALIBRATION,
        acquisition_id="5f1c",
        name="run",
        started_s=1_700_000_000.0,
        fit=OPTIONS.model_dump(mode="json"),
        config={"render": {"bin_nm": 25.0}},
    )
    return found.model_copy(update=changes)


@dataclass(frozen=True)
class Left:
    """What is left: so many pages, None for no stack; so many committed frames, None for no results."""

    pages: int | None = PAGES
    committed: int | None = 12


def leave(folder: Path, left: Left, calibration: CameraCalibration | None = CALIBRATION, **changes: Any) -> RunFiles:
    """Make the files of a run that was killed; return their names."""
    folder.mkdir(exist_ok=True)
    files = RunFiles(folder, "run")
    if left.pages is not None:
        with LiveStackWriter(files.live_stack, HEIGHT, WIDTH) as stack:
            for page in range(left.pages):
                stack.append(image(page), NUMBERS[page], time_s(page))
        with files.live_stack.open("ab") as file:
            file.write(b"half a page")
    if left.committed is not None:
        with ResultsWriter(files.live_results, header(**changes), calibration=calibration) as results:
            if left.committed:
                results.append(rows_of(range(left.committed)), records_of(range(left.committed)))
            content = files.live_results.read_bytes()
        files.live_results.write_bytes(content)
        files.live_results.with_suffix(".lock").write_text("1\n")
        files.lock.write_text("1\n")
    return files
