"""Fits what a stack holds beyond its results: the frames that were recorded and never fitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.calibration.camera import CameraCalibration
from locstream.errors import StackError
from locstream.fitting import FitOptions
from locstream.fitting.fit import fit_frames
from locstream.formats.picasso import storable
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty, joined
from locstream.results.file import ResultsWriter
from locstream.results.frames import FrameOutcome, frame_records
from locstream.stacks.live_frames import PagesInfo
from locstream.stacks.source import Image, Stack

COMMIT_S = 0.5
"""What is fitted is committed this often: what a kill costs in time."""

Progress = Callable[[int, int], None]
"""Called with the number of pages done, and how many there are to do."""


class How(NamedTuple):
    """How the frames of a run are fitted.

    Parameters
    ----------
    calibration
        The camera.
    options
        How molecules are found and fitted.
    astigmatism
        What gives every row its depth; None for a table without.
    """

    calibration: CameraCalibration
    options: FitOptions
    astigmatism: AstigmatismCalibration | None = None


def fit_pages(
    stack: Stack,
    pages: PagesInfo,
    results: ResultsWriter,
    how: How,
    progress: Progress = lambda done, total: None,
) -> None:
    """Fit the pages of a stack behind the committed frames, and commit them.

    Parameters
    ----------
    stack
        The frames; its first pages are the committed ones.
    pages
        Which frames its pages are.
    results
        Where the frames before are, and these go.
    how
        As the frames before were fitted. Each frame is fitted by itself, so its rows are those that it would have
        had in the acquisition.
    progress
        Told now and then.

    Raises
    ------
    ResultsError
        The disk refuses; what was committed is safe, and the same call goes on from there.
    """
    first, stop = results.n_frames, len(pages.numbers)
    shape = stack.info.height, stack.info.width
    batch: list[_Settled] = []
    committed_s = time.monotonic()
    for index, (rows, outcome) in enumerate(_settle(stack, first, stop, how), first):
        usable = rows[storable(rows, how.calibration.pixel_size_nm, *shape)]
        usable["frame"] = pages.numbers[index]
        batch.append(_Settled(usable, outcome))
        if index + 1 == stop or time.monotonic() - committed_s >= COMMIT_S:
            _commit(results, pages, batch)
            batch, committed_s = [], time.monotonic()
            progress(results.n_frames - first, stop - first)


class _Settled(NamedTuple):
    """What became of a page."""

    rows: Localizations
    outcome: FrameOutcome


def _settle(stack: Stack, start: int, stop: int, how: How) -> Iterator[_Settled]:
    """Give what becomes of page after page; one that cannot be read has failed, and the next one follows."""
    none = empty(0, LOCALIZATION if how.astigmatism is None else LOCALIZATION_3D)
    while start < stop:
        images = _readable(stack, start, stop)
        for rows in fit_frames(images, how.calibration, how.options, astigmatism=how.astigmatism):
            yield _Settled(rows, FrameOutcome.FITTED)
            start += 1
        if start < stop:
            yield _Settled(none, FrameOutcome.FAILED)
            start += 1


def _readable(stack: Stack, start: int, stop: int) -> Iterator[Image]:
    """Give the pages up to the first that cannot be read."""
    for index in range(start, stop):
        try:
            image = stack.read(index)
        except StackError:
            return
        yield image


def _commit(results: ResultsWriter, pages: PagesInfo, batch: list[_Settled]) -> None:
    here = slice(results.n_frames, results.n_frames + len(batch))
    counts = [len(settled.rows) for settled in batch]
    records = frame_records(pages.numbers[here], pages.times_s[here], counts, [settled.outcome for settled in batch])
    results.append(joined([settled.rows for settled in batch]), records)
