"""What the text inside or beside a stack says of it; each dialect has a module that returns this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from locstream.errors import StackError
from locstream.stacks.source import SourceInfo

SMALLEST_PIXEL_NM, LARGEST_PIXEL_NM = 1.0, 10_000.0
"""Pixel sizes outside are a printer's resolution or a placeholder, not a microscope's."""

_NM: dict[str, float] = {
    "m": 1e9,
    "cm": 1e7,
    "mm": 1e6,
    "µm": 1e3,
    "um": 1e3,
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "nm": 1.0,
    "nanometer": 1.0,
    "Å": 0.1,
    "pm": 1e-3,
    "in": 25.4e6,
    "inch": 25.4e6,
}
_MS: dict[str, float] = {
    "min": 60e3,
    "s": 1e3,
    "sec": 1e3,
    "ms": 1.0,
    "msec": 1.0,
    "µs": 1e-3,
    "us": 1e-3,
    "ns": 1e-6,
}


@dataclass(frozen=True)
class Description:
    """What one description of a stack says; None, "" and empty where it says nothing.

    Parameters
    ----------
    dialect
        The name of the format, for the user.
    axes
        Name of each axis beside rows and columns, and its announced length.
    files
        Names of the files the stack is spread over, in order; empty where it is one.
    camera, serial, pixel_size_nm, exposure_ms, interval_ms, bit_depth, roi_x, roi_y, details, warnings
        As in `SourceInfo`.
    """

    dialect: str = ""
    axes: Mapping[str, int] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    camera: str = ""
    serial: str = ""
    pixel_size_nm: float | None = None
    exposure_ms: float | None = None
    interval_ms: float | None = None
    bit_depth: int | None = None
    roi_x: int | None = None
    roi_y: int | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def completed_by(self, other: Description) -> Description:
        """Return this description with what it leaves open taken from `other`; the warnings of both."""
        merged = {f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(self)}
        merged["roi_x"] = other.roi_x if self.roi_x is None else self.roi_x  # 0 is a position, not a gap
        merged["roi_y"] = other.roi_y if self.roi_y is None else self.roi_y
        merged["details"] = {**other.details, **self.details}
        merged["warnings"] = self.warnings + other.warnings
        return Description(**merged)

    def announced_frames(self, name: str) -> int | None:
        """Return how many frames the description announces, None where it does not say.

        One axis longer than 1 is time, whatever it is called: programs label it as they like.

        Raises
        ------
        StackError
            More than one axis is longer than 1.
        """
        long = {axis: n for axis, n in self.axes.items() if n > 1}
        if len(long) > 1:
            sizes = " × ".join(f"{n} {axis}" for axis, n in long.items())
            raise StackError(
                f"{name} holds {sizes}; a stack of frames has one axis, time",
                todo="save one channel and one plane as a stack of its own (Fiji: Image > Duplicate…)",
            )
        return next(iter(long.values())) if long else (1 if self.axes else None)

    def source_info(self, *, width: int, height: int, frames: int, warnings: tuple[str, ...] = ()) -> SourceInfo:
        """Return the information for a stack of this shape, px; `warnings` follow those of the description."""
        return SourceInfo(
            camera=self.camera,
            serial=self.serial,
            width=width,
            height=height,
            frames=frames,
            pixel_size_nm=self.pixel_size_nm,
            exposure_ms=self.exposure_ms,
            interval_ms=self.interval_ms,
            bit_depth=self.bit_depth,
            roi_x=self.roi_x or 0,
            roi_y=self.roi_y or 0,
            details=({"Format": self.dialect} if self.dialect else {}) | dict(self.details),
            warnings=self.warnings + warnings,
        )


def length_nm(value: float | None, unit: str) -> float | None:
    """Return a pixel size in nm; None for one that no microscope has or a unit that is no length."""
    factor = _NM.get(unit.strip())
    if value is None or factor is None:
        return None
    size = value * factor
    return size if SMALLEST_PIXEL_NM <= size <= LARGEST_PIXEL_NM else None


def time_ms(value: float | None, unit: str) -> float | None:
    """Return a duration in ms; None for zero, a negative one, or a unit that is no time."""
    factor = _MS.get(unit.strip())
    if value is None or factor is None or not 0 < value < float("inf"):
        return None
    return value * factor


def number(text: object) -> float | None:
    """Return a finite number read from text or JSON, None for anything else."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    try:
        value = float(text)
    except (ValueError, OverflowError):
        return None
    return value if value - value == 0 else None


def whole(text: object) -> int | None:
    """Return a positive whole number read from text or JSON, None for anything else."""
    value = number(text)
    return int(value) if value is not None and value >= 1 and value == int(value) else None


def count_disagreement(
    name: str, *, announced: int | None, complete: int, torn: str = "", announced_by: str = ""
) -> tuple[str, ...]:
    """Return the sentence for a stack that does not hold what it announces, with both numbers.

    Parameters
    ----------
    name
        The file or folder that holds the frames.
    announced
        Frames that are announced, None where nothing says.
    complete
        Frames that are there in full; all of them are read.
    torn
        Where and how the frames end early, "" where they end properly.
    announced_by
        The file that announces them, "" where it is `name` itself.
    """
    if torn:
        of = "" if announced is None else f" of the {announced} announced"
        noun = "frame" if complete == 1 else "frames"
        return (f"{name} is cut short ({torn}): {complete} complete {noun}{of} can be read",)
    if announced is not None and announced != complete:
        only = " only" if announced < complete else ""
        holder = f"{name} holds" if announced_by else "holds"
        return (f"{announced_by or name} announces{only} {announced} frames but {holder} {complete}: all are read",)
    return ()
