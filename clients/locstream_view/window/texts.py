"""What the window says where it has no numbers of its own."""

from __future__ import annotations

from locstream.rendering.scale_bar import length_label
from locstream_view.following.seen import Seen
from locstream_view.model.model import Counted, ViewModel
from locstream_view.model.settings import Window


def counts_text(counted: Counted) -> str:
    """Return how many localizations are shown, and what the filters know of."""
    text = f"{counted.shown:,} of {counted.total:,} shown"
    if counted.kept < counted.total:
        text += f"; filters and deep zoom know the latest {counted.kept:,}"
    return text


def region_text(model: ViewModel | None, window: Window | None) -> str:
    """Return the numbers of a region, a line each; "" where there is none."""
    if model is None or window is None:
        return ""
    found = model.region(window)
    lines = [
        "REGION",
        f"{length_label(window.width_nm)} × {length_label(window.height_nm)}",
        f"{found.localizations:,} localizations",
        f"{found.per_um2:,.0f} per µm²",
    ]
    if found.localizations:
        lines += [
            f"median photons {found.photons:,.0f}",
            f"median background {found.background:.1f} ph/px",
            f"median precision {found.precision_nm:.1f} nm",
            f"median sigma {found.sigma_nm:.0f} nm",
            f"frames {found.first_frame:,} – {found.last_frame:,}",
        ]
    return "\n".join(lines)


def empty_text(seen: Seen, last_endpoint: str) -> tuple[str, ...]:
    """Return heading and lines for a screen without a picture: what is waited for, and what one can do."""
    lines = [
        f"Waiting for {seen.words}",
        "The picture appears here as soon as it begins; this window can stay open.",
        "",
        "No microscope at hand?  In a terminal:   locstream demo",
        "A finished run:   locstream view NAME_locs.hdf5",
    ]
    if last_endpoint and last_endpoint not in seen.words:
        lines.append(f"As last time:   locstream view {last_endpoint}")
    return tuple(lines)
