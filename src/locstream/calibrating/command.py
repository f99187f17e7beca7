"""The verb `locstream calibrate-camera`: dark and light stacks in, a stored calibration, words and a picture out."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image as Picture

from locstream.bundle.whole_file import refuse_existing, whole_file
from locstream.calibrating.dark_light import calibrate_camera
from locstream.calibrating.measured_camera import MeasuredCamera
from locstream.calibrating.picture import camera_picture
from locstream.calibrating.report import report_lines, report_warnings
from locstream.calibration.camera import MAPS
from locstream.calibration.file import GAIN_UNCERTAINTY, SUFFIX, CalibrationHeader, Region, write_calibration
from locstream.calibration.search import frames_region, mode_properties
from locstream.errors import ConfigError, LocstreamError
from locstream.stacks.open import open_stack
from locstream.stacks.source import Image, SourceInfo, Stack

LABEL_WIDTH = 12


def calibrate_camera_command(arguments: Sequence[str]) -> int:
    """Measure a camera: offset, read noise and gain of every pixel, from stacks in the dark and in even light."""
    given = _parser().parse_args(arguments)
    with ExitStack() as opened:
        dark = [_open(path, opened) for path in given.dark]
        light = [_open(path, opened) for path in given.light]
        infos = [stack.info for stack in (*dark, *light)]
        _require_one_camera(infos, [*given.dark, *given.light])
        header = _header(infos[0], given)
        path = _path(given.out, header)
        picture_path = path.with_suffix(".png")
        refuse_existing(path)
        refuse_existing(picture_path)
        bits = infos[0].bit_depth
        camera = calibrate_camera(
            _frames("dark", dark),
            (_frames(f"light {n}", [stack]) for n, stack in enumerate(light, start=1)),
            em_gain=given.em_gain,
            saturation_adu=None if bits is None else float(2**bits - 1),
        )
    header = header.model_copy(
        update={"dark_frames": camera.dark_frames, "light_frames": tuple(level.frames for level in camera.levels)}
    )
    _write(path, picture_path, header, camera)
    _print(camera, header, path, picture_path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="locstream calibrate-camera",
        description=calibrate_camera_command.__doc__,
        epilog="What to record, and what the report means: docs/calibration.md.",
    )
    for name, words in (
        ("--dark", "frames without light, 1,000 or more; several stacks count as one"),
        ("--light", "even, steady light: one stack for each level, 3 levels or more"),
    ):
        parser.add_argument(name, type=Path, nargs="+", metavar="STACK", required=True, help=words)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.h5", help="file to write, or a folder of calibrations"
    )
    parser.add_argument("--camera", default="", metavar="NAME", help="name of the camera (as the stacks say)")
    parser.add_argument("--serial", default="", help="its serial number (as the stacks say)")
    parser.add_argument("--mode", default="", metavar="TEXT", help="what you call the mode, for example 'fast, gain 2'")
    parser.add_argument(
        "--region",
        type=int,
        nargs=2,
        metavar=("X", "Y"),
        help="column and row of the frames' first pixel on the sensor, from 0 (as the stacks say)",
    )
    parser.add_argument("--em-gain", type=float, default=1.0, metavar="M", help="gain of the EM register (%(default)g)")
    return parser


def _open(path: Path, opened: ExitStack) -> Stack:
    return opened.enter_context(closing(open_stack(path)))


def _frames(name: str, stacks: Sequence[Stack]) -> Iterator[Image]:
    """Give the frames of some stacks, one after the other, and say how many they were."""
    count = 0
    for stack in stacks:
        for index in range(len(stack)):
            yield stack.read(index)
        count += len(stack)
    print(f"{name}: {count:,} frames", flush=True)


def _require_one_camera(infos: Sequence[SourceInfo], paths: Sequence[Path]) -> None:
    """Refuse stacks of different cameras, regions or modes, as far as they say."""
    first = infos[0]
    for info, path in zip(infos[1:], paths[1:], strict=True):
        differences = [
            f"{what} {there or 'unknown'} instead of {here or 'unknown'}"
            for what, here, there in (
                ("camera", first.camera, info.camera),
                ("serial number", first.serial, info.serial),
                ("region", str(frames_region(first)), str(frames_region(info))),
            )
            if here != there
        ]
        modes = mode_properties(first.details), mode_properties(info.details)
        differences += [
            f"{name} {modes[1][name]} instead of {modes[0][name]}"
            for name in modes[0].keys() & modes[1].keys()
            if modes[0][name] != modes[1][name]
        ]
        if differences:
            raise ConfigError(
                f"{path} is not like {paths[0]}: {', '.join(sorted(differences))}",
                todo="record dark and light with one camera, one mode and one region",
            )


def _header(info: SourceInfo, given: argparse.Namespace) -> CalibrationHeader:
    region = frames_region(info)
    if given.region is not None:
        x, y = given.region
        if x < 0 or y < 0:
            raise ConfigError(f"--region {x} {y} begins outside the sensor; columns and rows count from 0")
        region = Region(x=x, y=y, width=region.width, height=region.height)
    if not given.em_gain >= 1:
        raise ConfigError(f"--em-gain {given.em_gain:g} is below 1", todo="1 means that there is no EM register")
    return CalibrationHeader(
        camera=given.camera or info.camera,
        serial=given.serial or info.serial,
        mode=given.mode,
        properties=mode_properties(info.details),
        region=region,
        em_gain=given.em_gain,
        exposure_ms=info.exposure_ms,
        dark_frames=0,
        light_frames=(),
        made=datetime.now(UTC),
    )


def _path(out: Path, header: CalibrationHeader) -> Path:
    """Return the file to write: `out` itself, or a name made of camera, mode and time in that folder."""
    if out.suffix == SUFFIX and not out.is_dir():
        folder, name = out.parent, out.name
    else:
        words = [header.camera or "camera", header.serial, header.mode, f"{header.made:%Y%m%d-%H%M%S}"]
        plain = [re.sub(r"[^A-Za-z0-9.+-]+", "-", word).strip("-.") for word in words]
        folder, name = out, "_".join(word for word in plain if word) + SUFFIX
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be made: {error.strerror}") from error
    return folder / name


def _write(path: Path, picture: Path, header: CalibrationHeader, camera: MeasuredCamera) -> None:
    """Write the calibration and its picture, both or neither."""
    region = str(header.region).replace("×", "x")  # which the font of the picture does not have
    rgb = camera_picture(camera, f"{_camera_words(header)}, {region}, {header.made:%Y-%m-%d}")
    try:
        with whole_file(path) as part, whole_file(picture) as picture_part:
            write_calibration(part, header, {name: getattr(camera, name) for name in (*MAPS, GAIN_UNCERTAINTY)})
            Picture.fromarray(rgb).save(picture_part, format="PNG")
    except (OSError, RuntimeError) as error:  # RuntimeError: what h5py makes of a full disk
        raise LocstreamError(
            f"the calibration {path} could not be written: {error}",
            safe="the stacks it comes from are as they were",
            todo="make room, or choose another folder",
        ) from error


def _print(camera: MeasuredCamera, header: CalibrationHeader, path: Path, picture: Path) -> None:
    lines = [("camera", f"{_camera_words(header)}; {header.region}"), *report_lines(camera)]
    lines += [("warning", sentence) for sentence in report_warnings(camera)]
    if not header.serial:
        sentence = "the serial number is not known; with --serial it is found among calibrations of several cameras"
        lines.append(("warning", sentence))
    lines += [("written", str(path)), ("", str(picture))]
    print("\n".join(f"{label:<{LABEL_WIDTH}}{text}" for label, text in lines))


def _camera_words(header: CalibrationHeader) -> str:
    words = [header.camera or "unknown camera"]
    words += [f"serial {header.serial}"] if header.serial else []
    words += [f"mode {header.mode}"] if header.mode else []
    return ", ".join(words)
