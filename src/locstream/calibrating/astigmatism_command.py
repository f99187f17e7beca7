"""The verb `locstream calibrate`: a stack of beads over z in, a stored calibration, words and a picture out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from locstream.bundle.whole_file import refuse_existing, whole_file
from locstream.calibrating.astigmatism import MeasuredAstigmatism, calibrate_astigmatism
from locstream.calibrating.astigmatism_picture import astigmatism_picture
from locstream.calibration.astigmatism import SUFFIX
from locstream.errors import ConfigError, LocstreamError
from locstream.stacks.open import open_stack

LABEL_WIDTH = 12
FEW_BEADS = 3
COARSE_NM = 100.0
MAX_PLANES = 10_000


def calibrate_command(arguments: Sequence[str]) -> int:
    """Measure how an astigmatic lens shapes a molecule at each depth, from a stack of beads over z."""
    parser = argparse.ArgumentParser(
        prog="locstream calibrate",
        description=calibrate_command.__doc__,
        epilog="What to record, and what the report means: docs/astigmatism.md.",
    )
    parser.add_argument("beads", type=Path, metavar="BEADS", help="stack of beads, one frame a plane")
    parser.add_argument(
        "--step-nm",
        type=float,
        required=True,
        metavar="S",
        help="distance from one plane to the next, nm; negative where z falls with the planes",
    )
    parser.add_argument(
        "--pixel-size-nm", type=float, metavar="P", help="edge of a pixel in the sample (as the stack says)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write (BEADS_astigmatism.json, here)")
    given = parser.parse_args(arguments)
    path = given.out or Path(f"{given.beads.resolve().name.split('.')[0]}_astigmatism{SUFFIX}")
    picture_path = path.with_suffix(".png")
    if picture_path == path:
        raise ConfigError(f"--out {path} is the name of the picture", todo=f"give a name that ends in {SUFFIX}")
    refuse_existing(path)
    refuse_existing(picture_path)
    with closing(open_stack(given.beads)) as stack:
        if len(stack) > MAX_PLANES:
            raise ConfigError(f"{given.beads} has {len(stack):,} frames; a stack of beads has a few hundred planes")
        pixel_size_nm = given.pixel_size_nm or stack.info.pixel_size_nm
        planes = np.stack([stack.read(index) for index in range(len(stack))])
    measured = calibrate_astigmatism(planes, given.step_nm, pixel_size_nm, given.beads.name)
    _write(path, picture_path, measured)
    lines = [*report(measured), ("written", str(path)), ("", str(picture_path))]
    print("\n".join(f"{label:<{LABEL_WIDTH}}{text}" for label, text in lines))
    return 0


def report(measured: MeasuredAstigmatism) -> list[tuple[str, str]]:
    """Return a calibration as lines of a label and a sentence."""
    known = measured.calibration
    size = known.pixel_size_nm
    z = np.arange(known.z_min_nm, known.z_max_nm, 1.0)
    x, y = known.sigma_x_px(z), known.sigma_y_px(z)
    lines = [
        ("beads", f"{known.beads} of {measured.found} found, in {known.planes} planes of {known.step_nm:g} nm"),
        ("range", f"z = {known.z_min_nm:.0f} … {known.z_max_nm:.0f} nm; the image is round at z = 0"),
        ("at z = 0", f"sigma {_length(float(known.sigma_x_px(0.0)), size)}"),
        ("focus of x", f"z = {z[np.argmin(x)]:+.0f} nm, sigma x {_length(float(x.min()), size)}"),
        ("focus of y", f"z = {z[np.argmin(y)]:+.0f} nm, sigma y {_length(float(y.min()), size)}"),
        ("residual", f"{known.residual_px:.3f} px rms, curves of degree {len(known.variance_x_px2) - 1}"),
        ("z error", f"{known.z_residual_nm:.1f} nm rms in every other plane, with curves from the planes between"),
    ]
    if known.beads < FEW_BEADS:
        lines.append(
            ("warning", f"{known.beads} bead tells nothing of how beads differ; {FEW_BEADS} or more are better")
        )
    if abs(known.step_nm) > COARSE_NM:
        lines.append(("warning", f"steps of {abs(known.step_nm):g} nm are coarse; 10 to 50 nm are usual"))
    if size is None:
        lines.append(("warning", "the pixel size is not known; with --pixel-size-nm, frames of another are refused"))
    return lines


def _length(pixels: float, pixel_size_nm: float | None) -> str:
    return f"{pixels:.2f} px" if pixel_size_nm is None else f"{pixels:.2f} px = {pixels * pixel_size_nm:.0f} nm"


def _write(path: Path, picture: Path, measured: MeasuredAstigmatism) -> None:
    """Write the calibration and its picture, both or neither."""
    known = measured.calibration
    title = f"{known.stack}: {known.beads} beads, {known.planes} planes of {known.step_nm:g} nm, {known.made:%Y-%m-%d}"
    rgb = astigmatism_picture(measured, title)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part, whole_file(picture) as picture_part:
            part.write_text(known.model_dump_json(indent=2) + "\n", encoding="utf-8")
            Picture.fromarray(rgb).save(picture_part, format="PNG")
    except OSError as error:
        raise LocstreamError(
            f"the calibration {path} could not be written: {error}",
            safe="the stack of beads is as it was",
            todo="make room, or choose another folder",
        ) from error
