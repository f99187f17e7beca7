"""Bad input, one case a line: the command, what it says, and that nothing is lost or left behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytestmark = pytest.mark.system

GOOD = "cell.tif"
REPLAY = ("replay", GOOD, "--pixel-size-nm", "100", "--out", "out")

CONFIGS = {
    "typo.toml": "[[camera]]\noffset = 100\n",
    "table-typo.toml": "[fitt]\nthreshold = 5\n",
    "type.toml": "[fit]\nthreshold = 'high'\n",
    "range.toml": "[fit]\nthreshold = -1\n",
    "even-box.toml": "[fit]\nbox_px = 8\n",
    "no-toml.toml": "[fit\n",
    "binary.toml": b"\xff\xfe\x00",
    "both.toml": "[micromanager]\nconfig_file = 'a.cfg'\n[simulation]\n",
    "source.toml": "[simulation]\n",
    "no-source.toml": "[fit]\nthreshold = 6\n",
    "no-cfg.toml": "[micromanager]\nconfig_file = 'gone.cfg'\n",
    "adapter.toml": "[micromanager]\nconfig_file = 'adapter.cfg'\n",
    "adapter.cfg": "Property,Core,Initialize,0\nDevice,Cam,NoSuchAdapter,Cam\nProperty,Core,Initialize,1\n",
    "camera.toml": "[micromanager]\nconfig_file = 'demo.cfg'\ncamera = 'Andor'\n[[camera]]\npixel_size_nm = 100\n",
    "property.toml": "[micromanager]\nconfig_file = 'demo.cfg'\nproperties = { Camera = { Gian = '3' } }\n",
    "no-camera.toml": "[micromanager]\nconfig_file = 'empty.cfg'\n",
    "empty.cfg": "Property,Core,Initialize,1\n",
    "demo.cfg": "Device,Camera,DemoCamera,DCam\nProperty,Core,Initialize,1\nProperty,Core,Camera,Camera\n",
    "adapters.toml": "[micromanager]\nconfig_file = 'demo.cfg'\nadapter_folder = 'no-adapters'\n",
    "tiny.toml": "[simulation]\nwidth = 16\nheight = 3\n",
    "map-shape.toml": "[[camera]]\npixel_size_nm = 100\noffset_adu = 'map.npy'\n",
    "map-gone.toml": "[[camera]]\npixel_size_nm = 100\noffset_adu = 'gone.npy'\n",
    "map-text.toml": "[[camera]]\npixel_size_nm = 100\noffset_adu = 'words.txt'\n",
    "qe.toml": "[[camera]]\nquantum_efficiency = 1.5\n",
    "listen.toml": "[stream]\nlisten = 'tcp://microscope:5577'\n",
    "huge.toml": "[simulation]\nframes = 100000000\nwidth = 2048\nheight = 2048\n",
    "name.toml": "[acquisition]\nname = '../../etc'\n[simulation]\n",
}

CASES = [
    (("replay", "nothing.tif", "--pixel-size-nm", "100"), "nothing.tif"),
    (("replay", "words.txt", "--pixel-size-nm", "100"), "words.txt"),
    (("replay", "empty.tif", "--pixel-size-nm", "100"), "empty.tif"),
    (("replay", "cut.tif", "--pixel-size-nm", "100"), "cut.tif"),
    (("replay", "float.tif", "--pixel-size-nm", "100"), "float"),
    (("replay", "colour.tif", "--pixel-size-nm", "100"), "colour.tif"),
    (("replay", "shapes", "--pixel-size-nm", "100"), "b_0002.tif"),
    (("replay", "no-frames", "--pixel-size-nm", "100"), "no-frames"),
    (("replay", "alone.dax", "--pixel-size-nm", "100"), ".inf"),
    (("replay", "alone.raw", "--pixel-size-nm", "100"), ".yaml"),
    (("replay", GOOD), "pixel size"),
    (("replay", GOOD, "--pixel-size-nm", "-3"), "-3.0 nm"),
    (("replay", GOOD, "--pixel-size-nm", "nan"), "nan nm"),
    (("replay", GOOD, "--pixel-size-nm", "100", "--fps", "0"), "fps"),
    (("replay", GOOD, "--pixel-size-nm", "100", "--out", "words.txt"), "cannot be made"),
    (("replay", GOOD, "--pixel-size-nm", "100", "--name", "a/b"), "'a/b'"),
    ((*REPLAY, "--config", "missing.toml"), "missing.toml"),
    ((*REPLAY, "--config", "typo.toml"), "did you mean 'offset_adu'"),
    ((*REPLAY, "--config", "table-typo.toml"), "did you mean 'fit'"),
    ((*REPLAY, "--config", "type.toml"), "fit.threshold = 'high'"),
    ((*REPLAY, "--config", "range.toml"), "fit.threshold = -1"),
    ((*REPLAY, "--config", "even-box.toml"), "box_px = 8"),
    ((*REPLAY, "--config", "no-toml.toml"), "is not TOML"),
    ((*REPLAY, "--config", "binary.toml"), "is not TOML"),
    ((*REPLAY, "--config", "source.toml"), "would be ignored"),
    ((*REPLAY, "--config", "map-shape.toml"), "3 × 2 px"),
    ((*REPLAY, "--config", "map-gone.toml"), "gone.npy"),
    ((*REPLAY, "--config", "map-text.toml"), "words.txt"),
    ((*REPLAY, "--config", "qe.toml"), "quantum_efficiency"),
    ((*REPLAY, "--config", "listen.toml"), "is not an address to listen on"),
    (("fit", GOOD, "--pixel-size-nm", "100", "--threads", "0"), "--threads 0"),
    (("fit", "words.txt", "--pixel-size-nm", "100"), "words.txt"),
    (("run", "no-source.toml"), "names no source"),
    (("run", "both.toml"), "one of them would be ignored"),
    (("run", "no-cfg.toml"), "gone.cfg"),
    (("run", "adapter.toml"), "NoSuchAdapter"),
    (("run", "camera.toml"), "Andor"),
    (("run", "property.toml"), "Gian"),
    (("run", "no-camera.toml"), "camera"),
    (("run", "adapters.toml"), "no-adapters"),
    (("run", "tiny.toml"), "height"),
    (("run", "huge.toml"), "MB stay in reserve"),
    (("run", "name.toml"), "cannot begin a file name"),
    (("demo", "--frames", "0"), "frames"),
    (("demo", "--size", "1"), "width"),
    (("demo", "--fps", "0"), "--fps 0"),
    (("serve", "no-source.toml", "--state", "state"), "names no source"),
    (("serve", "no-cfg.toml", "--state", "state"), "gone.cfg"),
    (("recover", "nowhere"), "not a folder"),
    (("recover", "damaged"), "x.live.h5"),
    (("status",), "no acquisition is running"),
    (("stop", "cell"), "'cell'"),
    (("start",), "'serve'"),
    (("tail", "ipc:///tmp/locstream-nobody-listens", "--wait", "0.3"), "for 0.3 s"),
    (("config", "show", "typo.toml"), "did you mean"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the working folder with everything that is wrong in it, and one stack that is right."""
    frames = np.random.default_rng(1).poisson(100, (6, 24, 30)).astype(np.uint16)
    tifffile.imwrite(tmp_path / GOOD, frames, imagej=True)
    whole = (tmp_path / GOOD).read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[:200])
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "words.txt").write_text("x,y\n1,2\n")
    tifffile.imwrite(tmp_path / "float.tif", frames.astype(np.float32))
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    for name, shape in (("b_0001.tif", (8, 8)), ("b_0002.tif", (8, 9))):
        (tmp_path / "shapes").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "shapes" / name, np.zeros(shape, np.uint16))
    for empty in ("no-frames", "no-adapters", "damaged"):
        (tmp_path / empty).mkdir()
    (tmp_path / "damaged" / "x.live.h5").write_bytes(b"no HDF5")
    frames.tofile(tmp_path / "alone.dax")
    frames.tofile(tmp_path / "alone.raw")
    np.save(tmp_path / "map.npy", np.zeros((2, 3), np.float32))
    for name, content in CONFIGS.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path


def listing(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and "state" not in p.parts}


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 40
    assert len({case[0] for case in CASES}) == len(CASES)


@pytest.mark.parametrize(("arguments", "sentence"), CASES, ids=[" ".join(a) for a, _ in CASES])
def test_bad_input_is_one_clear_message(
    arguments: tuple[str, ...], sentence: str, folder: Path, locstream: Callable[..., object]
) -> None:
    before = listing(folder)
    command = locstream(*arguments)
    assert command.finish() == 1, command.out + command.err
    assert sentence in command.err
    assert "Traceback" not in command.err
    assert listing(folder) == before, "no file was made, changed or lost"


def test_a_folder_one_may_not_write_is_named(folder: Path, locstream: Callable[..., object]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (folder / "locked").mkdir(mode=0o500)
    command = locstream("replay", GOOD, "--pixel-size-nm", "100", "--out", "locked")
    assert command.finish() == 1
    assert "cannot be written" in command.err
