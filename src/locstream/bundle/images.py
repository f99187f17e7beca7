"""The reconstruction as files: a PNG to look at, an OME-TIFF to measure in, and an OME-Zarr to look into from afar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import locstream
from locstream.bundle.files import RunFiles
from locstream.bundle.whole_file import refuse_existing, whole_file
from locstream.errors import ConfigError, LocstreamError
from locstream.localizations import ORIGIN, Localizations
from locstream.rendering.grid import Tally
from locstream.rendering.ome import save_ome_tiff
from locstream.rendering.ome_zarr import save_ome_zarr
from locstream.rendering.options import RenderOptions
from locstream.rendering.picture import Preview, preview, save_png
from locstream.rendering.render import Rendered, render


@dataclass(frozen=True)
class ReconstructionFiles:
    """The pictures of a run, complete on disk.

    Parameters
    ----------
    png
        NAME_recon.png: colour, scale bar, caption.
    ome_tiff
        NAME_recon.ome.tif: float32 localizations per pixel, with the pixel size.
    tally
        How many localizations they show, and how many not.
    """

    png: Path
    ome_tiff: Path
    tally: Tally

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user must know of the pictures, in sentences."""
        sentences = []
        if self.tally.outside:
            sentences.append(f"{self.tally.outside:,} localizations lie outside the camera's field of view")
        if self.tally.unusable:
            sentences.append(
                f"{self.tally.unusable:,} localizations are not in the pictures: "
                "no finite position, or no usable precision"
            )
        return tuple(sentences)


def write_reconstruction(
    rows: Localizations | Iterable[Localizations],
    files: RunFiles,
    height_px: int,
    width_px: int,
    pixel_size_nm: float,
    options: RenderOptions,
    *,
    ome_zarr: bool = False,
    overwrite: bool = False,
) -> ReconstructionFiles:
    """Render localizations and write NAME_recon.png and NAME_recon.ome.tif, each complete or not at all.

    Parameters
    ----------
    rows
        A table of dtype `LOCALIZATION`, or an iterable of such tables; memory is that of the picture.
    files
        Where they go: a folder that exists, and the name of the run, which is the first part of the caption, too.
    height_px, width_px
        Shape of the camera's frames, px.
    pixel_size_nm
        Edge of a camera pixel in the sample, nm.
    options
        How to render and show.
    ome_zarr
        Also write the folder NAME_recon.ome.zarr.
    overwrite
        Replace files of these names; otherwise they are refused, before anything is rendered.

    Raises
    ------
    ConfigError
        The name is not a file name, the picture would be too large for memory, or the library for OME-Zarr is missing.
    LocstreamError
        A file exists, or the disk refuses. No part of a file stays behind.
    """
    name, png, ome_tiff = files.name, files.picture, files.reconstruction
    if not name or not name.isprintable() or Path(name).name != name:
        raise ConfigError(f"{name!r} cannot begin the name of a file", todo="use a name without slashes")
    if not overwrite:
        for path in (png, ome_tiff, *([files.ome_zarr] if ome_zarr else [])):
            refuse_existing(path)
    rendered = render(rows, height_px, width_px, pixel_size_nm, options)
    shown = preview(rendered, options, name)
    try:
        with whole_file(ome_tiff, overwrite=overwrite) as tiff_part, whole_file(png, overwrite=overwrite) as png_part:
            about = _about(rendered, options)
            save_ome_tiff(tiff_part, rendered.image, options.bin_nm, name, _sentence(rendered), about)
            save_png(png_part, shown.rgb, shown.bin_nm, _png_text(name, rendered, shown, options))
        if ome_zarr:
            with whole_file(files.ome_zarr, overwrite=overwrite) as zarr_part:
                save_ome_zarr(zarr_part, rendered.image, rendered.grid, name)
    except OSError as error:
        raise LocstreamError(
            f"the reconstruction of {name} could not be written to {files.folder}: {error.strerror or error}",
            safe="writing the pictures changes no other file; frames and localizations are as they were",
            todo=f"make room or choose another disk (about {rendered.image.nbytes / 1e6:,.0f} MB), then render again",
        ) from error
    return ReconstructionFiles(png, ome_tiff, rendered.tally)


def _sentence(rendered: Rendered) -> str:
    return (
        f"Reconstruction of {rendered.tally.inside:,} localizations ({rendered.mode}) "
        f"by locstream {locstream.__version__}; pixel values are localizations per pixel"
    )


def _about(rendered: Rendered, options: RenderOptions) -> dict[str, str]:
    grid, tally = rendered.grid, rendered.tally
    about = {
        "Rendering": rendered.mode,
        "Pixel value": "localizations per pixel",
        "Pixel size (nm)": f"{grid.bin_nm:g}",
        "Left edge of column 0, x (nm)": f"{grid.left_nm:g}",
        "Top edge of row 0, y (nm)": f"{grid.top_nm:g}",
        "Origin of x and y": f"{ORIGIN} of the camera",
        "Localizations": f"{tally.inside}",
        "Localizations outside": f"{tally.outside}",
        "Localizations not usable": f"{tally.unusable}",
    }
    if rendered.mode == "gaussian":
        about["Blur (nm)"] = f"own precision, {options.min_blur_nm:g} to {options.max_blur_nm:g}"
    return about


def _png_text(name: str, rendered: Rendered, shown: Preview, options: RenderOptions) -> dict[str, str]:
    return {
        "Title": name,
        "Description": _sentence(rendered),
        "Software": f"locstream {locstream.__version__}",
        "Pixel size": f"{shown.bin_nm:g} nm",
        "Colours": (
            f"{options.colormap}, 0 to {shown.brightest:.4g} localizations per {shown.shown_nm:g} nm pixel, "
            f"gamma {options.gamma:g}"
        ),
    }
