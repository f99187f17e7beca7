"""`locstream calibrate-camera`: stacks in, a calibration with its picture and its report out, or one clear message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from camera_frames import even_light, uneven_camera
from locstream.calibrating.command import calibrate_camera_command
from locstream.calibration import CameraCalibration
from locstream.calibration.file import Region, read_calibration, read_header
from locstream.errors import ConfigError, LocstreamError, StackError
from locstream.stacks.ome_description import ANNOTATION_NAMESPACE

SHAPE = (16, 24)
LEVELS = (50.0, 500.0, 5000.0)


def write_stack(path: Path, photons: float, frames: int, *, shape: tuple[int, int] = SHAPE, info: str = "") -> Path:
    stack = np.stack(list(even_light(uneven_camera(*shape), frames, photons)))
    tifffile.imwrite(path, stack, imagej=not info, description=info or None, metadata=None if info else {"axes": "TYX"})
    return path


@pytest.fixture
def stacks(tmp_path: Path) -> dict[str, list[str]]:
    """Return stacks by option, in a folder of their own."""
    folder = tmp_path / "stacks"
    folder.mkdir()
    return {
        "--dark": [str(write_stack(folder / "dark.tif", 0, 150))],
        "--light": [str(write_stack(folder / f"light {n}.tif", level, 60)) for n, level in enumerate(LEVELS)],
    }


def arguments(stacks: dict[str, list[str]], *more: str | Path) -> list[str]:
    return [*(word for option, paths in stacks.items() for word in (option, *paths)), *(str(m) for m in more)]


def truth() -> CameraCalibration:
    return uneven_camera(*SHAPE)


def test_it_writes_the_calibration_the_picture_and_the_report(
    stacks: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "orca.h5"
    words = ("--camera", "Orca", "--serial", "S-1", "--mode", "fast", "--region", "40", "8")
    assert calibrate_camera_command(arguments(stacks, "--out", out, *words)) == 0
    header = read_header(out)
    assert (header.camera, header.serial, header.mode) == ("Orca", "S-1", "fast")
    assert header.region == Region(x=40, y=8, width=24, height=16)
    assert (header.dark_frames, header.light_frames) == (150, (60, 60, 60))
    found = read_calibration(out, header.region, 130.0)
    assert np.std(found.offset_adu - truth().offset_adu) < 0.5
    assert np.mean(found.gain_e_per_adu) == pytest.approx(0.46, rel=0.02)
    with Image.open(tmp_path / "orca.png") as picture:
        assert picture.format == "PNG"
        assert picture.size[0] > 1000
    printed = capsys.readouterr().out
    for words_there in ("dark: 150 frames", "light 3: 60 frames", "Orca, serial S-1, mode fast", "e⁻/ADU", str(out)):
        assert words_there in printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["orca.h5", "orca.png", "stacks"]


def test_a_folder_gets_files_with_names_of_their_own(stacks: dict[str, list[str]], tmp_path: Path) -> None:
    folder = tmp_path / "calibrations" / "of 2026"
    calibrate_camera_command(
        arguments(stacks, "--out", folder, "--camera", "Orca β/4", "--serial", "../S 1", "--mode", "fast, gain 2")
    )
    (path,) = folder.glob("*.h5")
    assert path.name.startswith("Orca-4_S-1_fast-gain-2_20")
    assert path.with_suffix(".png").exists()
    assert read_header(path).serial == "../S 1"


def test_several_dark_stacks_count_as_one(stacks: dict[str, list[str]], tmp_path: Path) -> None:
    stacks["--dark"] *= 2
    calibrate_camera_command(arguments(stacks, "--out", tmp_path / "a.h5"))
    assert read_header(tmp_path / "a.h5").dark_frames == 300


def test_nothing_is_ever_overwritten(
    stacks: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for existing in ("a.h5", "a.png"):
        (tmp_path / existing).write_text("precious")
        with pytest.raises(LocstreamError, match=f"{existing} exists already and is not overwritten"):
            calibrate_camera_command(arguments(stacks, "--out", tmp_path / "a.h5"))
        assert "frames" not in capsys.readouterr().out, "it is said before hours of frames are read"
        assert (tmp_path / existing).read_text() == "precious"
        (tmp_path / existing).unlink()


def test_what_fails_leaves_nothing_behind(stacks: dict[str, list[str]], tmp_path: Path) -> None:
    stacks["--light"] = stacks["--light"][:2]
    with pytest.raises(ConfigError, match="2 light stacks were given"):
        calibrate_camera_command(arguments(stacks, "--out", tmp_path / "a.h5"))
    assert [p.name for p in tmp_path.iterdir()] == ["stacks"]


def test_a_disk_that_refuses_is_said_and_leaves_nothing_behind(
    stacks: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("locstream.calibrating.command.Picture.Image.save", full)
    with pytest.raises(LocstreamError, match=r"a\.h5 could not be written: .*No space left on device"):
        calibrate_camera_command(arguments(stacks, "--out", tmp_path / "a.h5"))
    assert [p.name for p in tmp_path.iterdir()] == ["stacks"]


def test_stacks_of_two_shapes_are_refused_before_anything_is_read(
    stacks: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_stack(tmp_path / "stacks" / "other.tif", 500, 60, shape=(16, 25))
    stacks["--light"].append(str(other))
    with pytest.raises(ConfigError, match=r"other\.tif is not like .*dark\.tif: region 25 × 16 px"):
        calibrate_camera_command(arguments(stacks, "--out", tmp_path / "a.h5"))
    assert "frames" not in capsys.readouterr().out


def ome(serial: str, gain: str) -> str:
    """Return the description of an OME-TIFF that says of which camera it is, and how that was set."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Instrument ID="Instrument:0">
<Detector ID="Detector:0" Model="Orca" SerialNumber="{serial}"/></Instrument>
<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="24" SizeY="16" SizeZ="1"
SizeC="1" SizeT="60"><Channel ID="Channel:0:0"><DetectorSettings ID="Detector:0"/></Channel><TiffData IFD="0"
PlaneCount="60"/></Pixels><AnnotationRef ID="Annotation:0"/></Image><StructuredAnnotations>
<MapAnnotation ID="Annotation:0" Namespace="{ANNOTATION_NAMESPACE}"><Value><M K="Cam.PreampGain">{gain}</M></Value>
</MapAnnotation></StructuredAnnotations></OME>"""


def test_stacks_of_two_cameras_or_modes_are_refused(tmp_path: Path) -> None:
    dark = write_stack(tmp_path / "dark.ome.tif", 0, 60, info=ome("S-1", "1"))
    for serial, gain, sentence in (
        ("S-2", "1", "serial number S-2 instead of S-1"),
        ("S-1", "2", "PreampGain 2 instead of 1"),
    ):
        light = write_stack(tmp_path / f"light {serial} {gain}.ome.tif", 100, 60, info=ome(serial, gain))
        with pytest.raises(ConfigError, match=sentence):
            calibrate_camera_command(
                arguments({"--dark": [str(dark)], "--light": [str(light)]}, "--out", tmp_path / "a.h5")
            )


def test_what_the_stacks_say_of_the_camera_is_kept(tmp_path: Path) -> None:
    def stack(name: str, photons: float) -> str:
        return str(write_stack(tmp_path / f"{name}.ome.tif", photons, 60, info=ome("S-1", "2")))

    given = {
        "--dark": [stack("dark", 0), stack("dark2", 0)],
        "--light": [stack(f"l{n}", p) for n, p in enumerate(LEVELS)],
    }
    calibrate_camera_command(arguments(given, "--out", tmp_path / "a.h5"))
    header = read_header(tmp_path / "a.h5")
    assert (header.camera, header.serial, header.properties) == ("Orca", "S-1", {"PreampGain": "2"})


@pytest.mark.parametrize(
    ("more", "sentence"),
    [(("--region", "-1", "0"), "begins outside the sensor"), (("--em-gain", "0.5"), "--em-gain 0.5 is below 1")],
)
def test_a_wrong_option_is_one_message(
    stacks: dict[str, list[str]], tmp_path: Path, more: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        calibrate_camera_command(arguments(stacks, "--out", tmp_path / "a.h5", *more))


def test_a_stack_that_is_none_is_one_message(stacks: dict[str, list[str]], tmp_path: Path) -> None:
    stacks["--light"].append(str(tmp_path / "gone.tif"))
    with pytest.raises(StackError, match=r"gone\.tif"):
        calibrate_camera_command(arguments(stacks, "--out", tmp_path / "a.h5"))


def test_a_place_that_is_no_folder_is_one_message(stacks: dict[str, list[str]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        calibrate_camera_command(arguments(stacks, "--out", tmp_path / "file" / "calibrations"))


def test_the_serial_number_is_asked_for(
    stacks: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibrate_camera_command(arguments(stacks, "--out", tmp_path / "a.h5"))
    assert "the serial number is not known" in capsys.readouterr().out
    calibrate_camera_command(arguments(stacks, "--out", tmp_path / "b.h5", "--serial", "S-1"))
    assert "the serial number is not known" not in capsys.readouterr().out
