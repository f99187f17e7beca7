"""What is seen, as files: a PNG to show, an OME-TIFF to measure in, the rows, and the settings that show it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from pydantic import ValidationError

import locstream
from locstream.bundle.whole_file import refuse_existing, whole_file
from locstream.errors import ConfigError, LocstreamError
from locstream.formats.thunderstorm import write_thunderstorm
from locstream.localizations import ORIGIN, Localizations
from locstream.rendering.colour import Rgb
from locstream.rendering.lettering import draw_text, spelled, text_width
from locstream.rendering.ome import save_ome_tiff
from locstream.rendering.picture import save_png
from locstream.rendering.scale_bar import with_caption, with_scale_bar
from locstream_view.model.settings import ViewSettings
from locstream_view.model.shown import Drawn, Legend, coloured, legend

SMALLEST_SIDE_PX = 512
"""A smaller picture is enlarged in whole pixels, so that bar and legend can be read."""
LEGEND_HEIGHT_PX = 44
LEGEND_FONT_PX = 13
RAMP_PX = 160


@dataclass(frozen=True)
class ViewFiles:
    """The four files of a view, by what their names begin with."""

    stem: Path

    def _with(self, end: str) -> Path:
        return self.stem.with_name(self.stem.name + end)

    @property
    def png(self) -> Path:
        """As on the screen, with scale bar and legend."""
        return self._with("_view.png")

    @property
    def ome_tiff(self) -> Path:
        """Float32, localizations per pixel, with the physical pixel size."""
        return self._with("_view.ome.tif")

    @property
    def table(self) -> Path:
        """The rows that are shown, ThunderSTORM CSV."""
        return self._with("_view.csv")

    @property
    def settings(self) -> Path:
        """What decides what is seen; `locstream view FILE --settings` shows it again."""
        return self._with("_view.json")


def save_view(
    stem: Path,
    drawn: Drawn,
    settings: ViewSettings,
    brightest: float,
    rows: Localizations,
    pixel_size_nm: float,
    name: str,
) -> ViewFiles:
    """Write the four files of a view, each complete or not at all; none may exist.

    Parameters
    ----------
    stem
        Folder, and what the files' names begin with.
    drawn, settings, brightest
        What is seen.
    rows
        The rows that are shown, of the whole field.
    pixel_size_nm
        Edge of a camera pixel, nm; the CSV counts from the pixel's corner.
    name
        Of the acquisition.

    Raises
    ------
    LocstreamError
        A file exists, or the disk refuses.
    """
    files = ViewFiles(stem)
    for path in (files.png, files.ome_tiff, files.table, files.settings):
        refuse_existing(path)
    try:
        with whole_file(files.png) as part:
            rgb, bin_nm = picture(drawn, settings, brightest, len(rows), name)
            save_png(part, rgb, bin_nm, {"Title": name, "Software": f"locstream {locstream.__version__}"})
        with whole_file(files.ome_tiff) as part:
            sentence = f"View of {name}: localizations per pixel, {drawn.how}"
            save_ome_tiff(part, drawn.image, drawn.grid.bin_nm, name, sentence, _about(drawn, settings))
        with whole_file(files.table) as part:
            write_thunderstorm(part, rows, pixel_size_nm)
        with whole_file(files.settings) as part:
            part.write_text(settings.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise LocstreamError(
            f"the view could not be written to {stem.parent}: {error.strerror or error}",
            safe="saving a view changes no other file",
            todo="choose another folder, or make room",
        ) from error
    return files


def read_settings(path: Path) -> ViewSettings:
    """Return the settings of a saved view.

    Raises
    ------
    ConfigError
        The file cannot be read, or is no such file.
    """
    try:
        return ViewSettings.model_validate_json(path.read_text())
    except OSError as error:
        raise ConfigError(
            f"the saved view {path} cannot be read: {error.strerror}", todo="name a file that ends in _view.json"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a saved view: {error}", todo="name a file that ends in _view.json") from error


def picture(drawn: Drawn, settings: ViewSettings, brightest: float, shown: int, name: str) -> tuple[Rgb, float]:
    """Return a view as it is saved: in colour, with scale bar, caption and legend; and its pixel size, nm."""
    rgb = coloured(drawn, settings, brightest)
    factor = max(1, -(-SMALLEST_SIDE_PX // min(rgb.shape[:2])))
    rgb = rgb.repeat(factor, axis=0).repeat(factor, axis=1)
    bin_nm = drawn.grid.bin_nm / factor
    rgb = with_scale_bar(rgb, bin_nm)
    how = "counts" if drawn.how == "counts" else "Gaussians of own precision"
    parts = [*([name] if name else []), f"{shown:,} localizations", f"{how}, {drawn.grid.bin_nm:.4g} nm/px"]
    if not settings.filters.open:
        parts.append("filtered")
    return np.concatenate(
        [with_caption(rgb, parts), _legend_strip(rgb.shape[1], legend(drawn, settings, brightest))]
    ), (bin_nm)


def _legend_strip(width: int, found: Legend) -> Rgb:
    """Return a strip with the colours and their values."""
    strip = Image.new("RGB", (width, LEGEND_HEIGHT_PX))
    draw = ImageDraw.Draw(strip)
    ramp = Image.fromarray(np.ascontiguousarray(np.broadcast_to(found.colours, (12, 256, 3)))).resize((RAMP_PX, 12))
    low_width = text_width(found.low, LEGEND_FONT_PX)
    left, top = round(14 + low_width), 16
    strip.paste(ramp, (left, top))
    draw.rectangle((left - 1, top - 1, left + RAMP_PX, top + 12), outline="#808080")
    base = top + 11
    draw_text(draw, 8, base, found.low, LEGEND_FONT_PX, "white")
    text = f"{found.high} {spelled(found.title.replace('²', '^2'))}"
    draw_text(draw, left + RAMP_PX + 6, base, text, LEGEND_FONT_PX, "white")
    return np.array(strip)


def _about(drawn: Drawn, settings: ViewSettings) -> dict[str, str]:
    grid = drawn.grid
    return {
        "Rendering": drawn.how,
        "Pixel value": "localizations per pixel",
        "Pixel size (nm)": f"{grid.bin_nm:g}",
        "Left edge of column 0, x (nm)": f"{grid.left_nm:g}",
        "Top edge of row 0, y (nm)": f"{grid.top_nm:g}",
        "Origin of x and y": f"{ORIGIN} of the camera",
        "Filters": settings.filters.model_dump_json(),
    }
