"""A live stack becomes an OME-TIFF that other programs read, without a pixel being moved."""

from __future__ import annotations

import errno
import os
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import ome_types
import pytest
import tifffile

from locstream.errors import StackError
from locstream.stacks import ome_xml
from locstream.stacks.live import LiveStackWriter
from locstream.stacks.live_repair import repair_live_stack
from locstream.stacks.ome import StackMetadata, finalize_ome_tiff
from locstream.stacks.open import open_stack
from locstream.stacks.source import SourceInfo

HEIGHT, WIDTH = 6, 9
SOURCE = SourceInfo(
    camera="Prime 95B",
    serial="A19M204013",
    width=WIDTH,
    height=HEIGHT,
    pixel_size_nm=108.3,
    exposure_ms=30.0,
    interval_ms=30.5,
    bit_depth=12,
    roi_x=512,
    roi_y=640,
    details={"Binning": "1"},
)


def frames_of(pages: int) -> npt.NDArray[np.uint16]:
    return np.random.default_rng(pages).integers(0, 65536, (pages, HEIGHT, WIDTH), np.uint16)


def record(path: Path, frames: npt.NDArray[np.uint16]) -> None:
    with LiveStackWriter(path, *frames.shape[1:]) as writer:
        for frame in frames:
            writer.append(frame)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    record(tmp_path / "run.live.tif", frames_of(4))
    return tmp_path / "run.live.tif"


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "run.ome.tif"


def text_of(path: Path) -> str:
    with tifffile.TiffFile(path) as tiff:
        return str(tiff.pages.first.description)


def metadata(pages: int) -> StackMetadata:
    return StackMetadata(
        SOURCE,
        name="cell 3",
        description="dSTORM, 640 nm",
        times_s=1.7e9 + 0.0305 * np.arange(pages),
        frame_numbers=np.arange(pages),
        offset_adu=100.4,
        gain_e_per_adu=0.47,
        read_noise_e=1.6,
        quantum_efficiency=0.95,
        annotations={"Operator": "me"},
    )


@pytest.mark.parametrize("pages", [1, 2, 500])
def test_tifffile_and_we_read_it_back(tmp_path: Path, final: Path, pages: int) -> None:
    frames, live = frames_of(pages), tmp_path / "a.live.tif"
    record(live, frames)
    size = live.stat().st_size
    finalize_ome_tiff(live, final, metadata(pages))
    assert not live.exists()
    assert final.stat().st_size - size < 2000 + 120 * pages  # the text alone has been added
    with tifffile.TiffFile(final) as tiff:
        series = tiff.series[0]
        assert tiff.is_ome
        assert len(tiff.series) == 1
        assert series.get_axes(squeeze=False).rstrip("S") == "TCZYX"
        assert series.get_shape(squeeze=False)[:5] == (pages, 1, 1, HEIGHT, WIDTH)
        if pages > 1:
            assert (series.axes, series.shape) == ("TYX", frames.shape)
        np.testing.assert_array_equal(tiff.asarray().reshape(frames.shape), frames)
    stack = open_stack(final)
    np.testing.assert_array_equal([stack.read(i) for i in range(len(stack))], frames)
    stack.close()


def test_what_the_camera_said_comes_back(live: Path, final: Path) -> None:
    finalize_ome_tiff(live, final, metadata(4))
    info = open_stack(final).info
    for name in ("camera", "serial", "width", "height", "bit_depth", "roi_x", "roi_y"):
        assert getattr(info, name) == getattr(SOURCE, name), name
    for name in ("pixel_size_nm", "exposure_ms", "interval_ms"):
        assert getattr(info, name) == pytest.approx(getattr(SOURCE, name)), name
    assert info.warnings == ()
    expected = {
        "Binning": "1",
        "Operator": "me",
        "ElectronsPerCount": "0.47",
        "ADOffset": "100.4",
        "ReadNoiseElectronsRMS": "1.6",
        "QuantumEfficiency": "0.95",
        "FramesMissing": "0",
        "Name": "cell 3",
        "Format": "OME-TIFF",
    }
    assert expected.items() <= info.details.items()


def test_the_text_is_valid_ome_xml(live: Path, final: Path) -> None:
    given = metadata(4)
    finalize_ome_tiff(live, final, given)
    text = text_of(final)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?><OME ')
    image = ome_types.from_xml(text).images[0]
    assert image.name == "cell 3"
    assert image.description == "dSTORM, 640 nm"
    assert image.acquisition_date is not None
    assert image.acquisition_date.timestamp() == pytest.approx(1.7e9)
    pixels = image.pixels
    assert (pixels.size_x, pixels.size_y, pixels.size_t, pixels.size_c, pixels.size_z) == (WIDTH, HEIGHT, 4, 1, 1)
    assert pixels.type.value == "uint16"
    assert pixels.physical_size_x == pixels.physical_size_y == pytest.approx(0.1083)
    assert pixels.time_increment == pytest.approx(0.0305)
    assert pixels.significant_bits == 12
    channel = pixels.channels[0]
    assert channel.acquisition_mode is not None
    assert channel.acquisition_mode.value == "SingleMoleculeImaging"
    assert channel.detector_settings is not None
    assert channel.detector_settings.offset == pytest.approx(100.4)
    assert [plane.the_t for plane in pixels.planes] == [0, 1, 2, 3]
    np.testing.assert_allclose([plane.delta_t for plane in pixels.planes], 0.0305 * np.arange(4), atol=1e-6)
    assert {plane.exposure_time for plane in pixels.planes} == {0.03}
    ome = ome_types.from_xml(text)
    detector = ome.instruments[0].detectors[0]
    assert (detector.model, detector.serial_number) == ("Prime 95B", "A19M204013")
    assert channel.detector_settings.id == detector.id
    assert ome.uuid == f"urn:uuid:{given.uuid}"


@pytest.mark.skipif(
    find_spec("lxml") is None and find_spec("xmlschema") is None,
    reason="ome-types validates against the schema only with lxml or xmlschema, and neither is installed",
)
@pytest.mark.parametrize("given", ["everything", "nothing", "an EMCCD"])
def test_the_text_keeps_to_the_schema(live: Path, final: Path, given: str) -> None:
    bare = SourceInfo(camera="", width=WIDTH, height=HEIGHT)
    info = {
        "everything": metadata(4),
        "nothing": StackMetadata(bare),
        "an EMCCD": StackMetadata(bare, em_gain=300.0, times_s=(5.0, float("nan"), 4.0)),
    }[given]
    finalize_ome_tiff(live, final, info)
    ome_types.validate_xml(text_of(final))


def test_what_is_not_known_is_not_said(live: Path, final: Path) -> None:
    finalize_ome_tiff(live, final, StackMetadata(SourceInfo(camera="", width=WIDTH, height=HEIGHT)))
    text = text_of(final)
    for word in ("PhysicalSize", "TimeIncrement", "Plane ", "Model", "SerialNumber", "None", "nan", "Acquisition"):
        assert word not in text.replace("AcquisitionMode", "").replace("locstream:acquisition", ""), word
    info = open_stack(final).info
    assert (info.pixel_size_nm, info.exposure_ms, info.interval_ms, info.camera) == (None, None, None, "")


@pytest.mark.parametrize(
    ("numbers", "count", "runs"),
    [
        ([0, 1, 2, 3], "0", None),
        ([0, 1, 5, 6], "3", "2-4"),
        ([2, 3, 5, 9], "6", "0-1, 4, 6-8"),
        ([], "0", None),
    ],
)
def test_frames_the_camera_dropped_are_listed(
    live: Path, final: Path, numbers: list[int], count: str, runs: str | None
) -> None:
    finalize_ome_tiff(live, final, StackMetadata(SOURCE, frame_numbers=numbers))
    details = open_stack(final).info.details
    assert details["FramesMissing"] == count
    assert details.get("FrameNumbersMissing") == runs


def test_planes_are_listed_up_to_the_documented_number(
    live: Path, final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ome_xml, "MOST_PLANES", 3)
    finalize_ome_tiff(live, final, metadata(4))
    assert text_of(final).count("<Plane ") == 3
    assert len(open_stack(final)) == 4


@pytest.mark.parametrize("times", [(float("nan"),) * 4, (1e300,) * 4, (-1.0,) * 4, (1.7e9,), np.arange(9.0)])
def test_times_that_are_none_stop_nothing(
    live: Path, final: Path, times: tuple[float, ...] | npt.NDArray[np.float64]
) -> None:
    finalize_ome_tiff(live, final, StackMetadata(SOURCE, times_s=times))
    ome_types.from_xml(text_of(final))
    assert open_stack(final).info.exposure_ms == 30


def test_every_character_survives_or_is_replaced(live: Path, final: Path) -> None:
    nasty = "<a href='x'>&amp; \"µ²\" 界 \U0001f52c\x00\x0b\ud800\uffff]]>"
    clean = "<a href='x'>&amp; \"µ²\" 界 \U0001f52c" + "\ufffd" * 4 + "]]>"
    source = SourceInfo(camera=nasty, serial=nasty, width=WIDTH, height=HEIGHT, details={nasty: nasty})
    finalize_ome_tiff(live, final, StackMetadata(source, name=nasty, description=nasty, annotations={"x": nasty}))
    info = open_stack(final).info
    assert info.camera == info.serial == info.details["Name"] == info.details[clean] == info.details["x"] == clean
    text = text_of(final)
    assert text.isascii()
    assert [e.text for e in ET.fromstring(text).iterfind(".//{*}Description")] == [clean]


# --- when it does not go well --------------------------------------------------------------------------------------


def assert_untouched(live: Path) -> None:
    np.testing.assert_array_equal(tifffile.imread(live), frames_of(4))


def test_an_existing_file_is_not_overwritten(live: Path, final: Path) -> None:
    final.write_bytes(b"years of work")
    with pytest.raises(StackError, match="exists already") as refusal:
        finalize_ome_tiff(live, final, metadata(4))
    assert str(live) in refusal.value.safe
    assert final.read_bytes() == b"years of work"
    assert_untouched(live)


def test_a_stack_that_is_being_written_is_not_finished(tmp_path: Path, final: Path) -> None:
    with LiveStackWriter(tmp_path / "a.live.tif", HEIGHT, WIDTH) as writer:
        writer.append(frames_of(1)[0])
        with pytest.raises(StackError, match="still being written"):
            finalize_ome_tiff(tmp_path / "a.live.tif", final, metadata(1))
    assert not final.exists()


def test_no_frame_no_stack(tmp_path: Path, final: Path) -> None:
    record(tmp_path / "a.live.tif", frames_of(1)[:0])
    with pytest.raises(StackError, match="holds no frame"):
        finalize_ome_tiff(tmp_path / "a.live.tif", final, metadata(0))
    with pytest.raises(StackError, match="cannot be opened"):
        finalize_ome_tiff(tmp_path / "nothing", final, metadata(0))


def test_a_description_of_other_frames_is_refused(live: Path, final: Path) -> None:
    with pytest.raises(StackError, match="holds frames of 9 × 6 px, its description says 6 × 9 px"):
        finalize_ome_tiff(live, final, StackMetadata(SourceInfo(camera="", width=HEIGHT, height=WIDTH)))
    assert_untouched(live)


def test_the_file_of_somebody_else_is_left_alone(tmp_path: Path, final: Path) -> None:
    other = tmp_path / "a.tif"
    tifffile.imwrite(other, frames_of(4), bigtiff=True, photometric="minisblack")
    before = other.read_bytes()
    with pytest.raises(StackError, match="was not recorded by locstream"):
        finalize_ome_tiff(other, final, metadata(4))
    assert other.read_bytes() == before


def test_a_full_disk_leaves_the_live_stack(live: Path, final: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", fail)
        with pytest.raises(StackError, match="could not be finished: the disk is full") as trouble:
            finalize_ome_tiff(live, final, metadata(4))
    assert str(live) in trouble.value.safe
    assert_untouched(live)
    finalize_ome_tiff(live, final, metadata(4))
    assert_untouched(final)


def test_another_disk_is_no_rename(live: Path, final: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(Path, "replace", fail)
        with pytest.raises(StackError, match="cannot be renamed") as trouble:
            finalize_ome_tiff(live, final, metadata(4))
    assert trouble.value.safe == f"the finished stack is {live}"
    assert_untouched(live)


@pytest.mark.parametrize("step", range(6))
def test_interrupted_anywhere_it_is_readable_and_can_be_finished(
    live: Path, final: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    class KilledError(BaseException):
        pass

    calls = 0
    originals = {"pwrite": os.pwrite, "fsync": os.fsync}

    def dying(name: str) -> object:
        def call(*arguments: object) -> object:
            nonlocal calls
            calls += 1
            if calls > step:
                raise KilledError
            return originals[name](*arguments)  # type: ignore[operator]  # whichever of the two it is

        return call

    with monkeypatch.context() as killer:
        for name in originals:
            killer.setattr(os, name, dying(name))
        replace = Path.replace

        def dying_replace(self: Path, target: Path) -> Path:
            nonlocal calls
            calls += 1
            if calls > step:
                raise KilledError
            return replace(self, target)

        killer.setattr(Path, "replace", dying_replace)
        try:
            finalize_ome_tiff(live, final, metadata(4))
        except KilledError:
            assert_untouched(live)
            assert len(open_stack(live)) == 4
            assert open_stack(live).info.warnings == ()
            interrupted = True
        else:
            interrupted = False
    assert interrupted is (step < 5)
    if interrupted:
        finalize_ome_tiff(live, final, metadata(4))
    assert_untouched(final)
    assert open_stack(final).info.camera == "Prime 95B"


def test_a_finished_stack_can_be_checked_and_stays_as_it_is(live: Path, final: Path) -> None:
    finalize_ome_tiff(live, final, metadata(4))
    before = final.read_bytes()
    assert repair_live_stack(final) == 4
    assert final.read_bytes() == before
