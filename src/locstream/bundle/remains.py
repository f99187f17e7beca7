"""What a run that was killed has left in its results and its stack, held against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from locstream import __version__
from locstream.bundle.files import RunFiles
from locstream.calibration.camera import CameraCalibration
from locstream.results.frames import FrameOutcome, FrameRecords
from locstream.results.header import ResultsHeader
from locstream.results.layout import DAMAGED
from locstream.results.ledger import Ledger, LedgerSnapshot
from locstream.results.reader import ResultsReader
from locstream.results.whole_frames import whole_frames
from locstream.stacks.live_frames import PagesInfo, read_pages_info

_NO_PAGES = PagesInfo(np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True, eq=False)
class Remains:
    """The committed frames of a live results file, and the complete pages of the stack beside it.

    Parameters
    ----------
    header, calibration
        What the results say of the run; the calibration is None where they do not keep it.
    records
        The committed frames that are whole.
    damaged
        Whether there are frames that are not whole, as only a power cut or a bad disk leaves them.
    stack
        The stack, None where there is none.
    pages
        Which frames its pages are; there are none without a stack.
    """

    header: ResultsHeader
    calibration: CameraCalibration | None
    records: FrameRecords
    damaged: bool
    stack: Path | None
    pages: PagesInfo

    @classmethod
    def of(cls, files: RunFiles) -> Remains:
        """Look at the files of a run whose writers are gone. Raises `LocstreamError` where one is beyond repair."""
        with ResultsReader(files.live_results) as reader:
            reader.keep(whole_frames(reader))
            header, calibration, records = reader.header, reader.calibration, reader.frames()
            damaged = reader.uncommitted[0] > 0
        stack = next((path for path in (files.live_stack, files.stack) if path.exists()), None)
        pages = _NO_PAGES if stack is None else read_pages_info(stack)
        return cls(header, calibration, records, damaged, stack, pages)

    @property
    def nothing(self) -> bool:
        """True where not one frame was recorded or committed."""
        return not (len(self.records) or self.damaged or self.pages.numbers.size)

    @property
    def agree(self) -> bool:
        """True where results and stack are of the same frames, as far as both go."""
        both = min(len(self.records), len(self.pages.numbers))
        return np.array_equal(self.records["frame"][:both], self.pages.numbers[:both])

    @property
    def unfitted(self) -> int:
        """Pages behind the committed frames; 0 where they are not of the same acquisition."""
        return max(0, len(self.pages.numbers) - len(self.records)) if self.agree else 0

    def ledger(self) -> LedgerSnapshot:
        """Return the ledger of every frame that is known of: those that are not settled are pending."""
        ledger = Ledger()
        settled = self.records["frame"].astype(np.int64)
        for number in np.union1d(settled, self.pages.numbers) if self.agree else settled:
            ledger.acquire(int(number))
        for number, outcome in zip(settled, self.records["outcome"], strict=True):
            ledger.settle(int(number), FrameOutcome(outcome))
        return ledger.snapshot()

    def warnings(self, files: RunFiles) -> tuple[str, ...]:
        """Return what the user must know of, the same sentences however often recovery was cut off."""
        found = []
        damaged = files.live_results.name + DAMAGED
        if kept := sorted(path.name for path in files.folder.iterdir() if path.name.startswith(damaged)):
            found.append(
                f"the results were damaged, as a power cut leaves them; as found they are kept as {', '.join(kept)}"
            )
        if self.header.software != f"locstream {__version__}":
            found.append(f"the run was made with {self.header.software} and recovered with locstream {__version__}")
        if self.stack is None:
            of_all = f" of {self.header.frames_expected:,}" if self.header.frames_expected else ""
            found.append(f"there is no raw stack beside the results; {len(self.records):,}{of_all} frames were fitted")
        elif not self.agree:
            found.append("the pages of the stack are other frames than those of the results; none of them was fitted")
        elif self.unfitted:
            found.append(
                f"{self.unfitted:,} frames were recorded and not fitted: the results do not keep the calibration; "
                f"`locstream replay {files.stack}` fits all of the stack"
            )
        elif len(self.records) > len(self.pages.numbers):
            missing = len(self.records) - len(self.pages.numbers)
            found.append(f"the last {missing:,} fitted frames are not in the stack: they were not written yet")
        return tuple(found)
