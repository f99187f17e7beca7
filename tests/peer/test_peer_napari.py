"""The example that shows the growing picture in napari, in napari itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from locstream.localizations import Localizations
from locstream.rendering.grid import Picture, grid
from locstream.rendering.histogram import accumulate
from locstream.results.file import ResultsWriter
from results_example import HEIGHT, PIXEL_SIZE_NM, WIDTH, batch, header
from virtual_screen import virtual_screen

pytestmark = pytest.mark.peer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "napari_layer.py"
BIN_NM = 20.0
PATIENCE_S = 120.0


def picture(rows: Localizations) -> Picture:
    where = grid(HEIGHT, WIDTH, PIXEL_SIZE_NM, BIN_NM)
    image = np.zeros(where.shape, np.float32)
    accumulate(image, where, rows["x_nm"], rows["y_nm"])
    return image


def test_the_picture_grows_in_a_layer_of_napari(napari_python: Path, tmp_path: Path) -> None:
    first, first_records = batch(0, 10)
    second, second_records = batch(10, 10)
    live = tmp_path / "cell.live.h5"
    writer = ResultsWriter(live, header())
    writer.append(first, first_records)
    pictures = picture(first), picture(np.concatenate([first, second]))
    numbers = [int(image.sum()) for image in pictures]  # some rows lie outside the field
    home = tmp_path / "home"
    home.mkdir()
    with virtual_screen() as display, (tmp_path / "printed").open("w+") as printed:
        environment = os.environ | {
            "DISPLAY": display,
            "QT_QPA_PLATFORM": "xcb",
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("src", "clients")),
            "NUMBA_CACHE_DIR": str(tmp_path / f"numba-{sys.version_info.minor}"),
        }
        driver = [str(napari_python), str(ROOT / "tests" / "peer" / "napari_driver.py")]
        command = [*driver, str(EXAMPLE), str(live), str(tmp_path), *(str(number) for number in numbers)]
        program = subprocess.Popen(command, env=environment, stdout=printed, stderr=printed)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not (tmp_path / f"{numbers[0]}.npy").exists():
                assert program.poll() is None, Path(printed.name).read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            writer.append(second, second_records)
            assert program.wait(PATIENCE_S) == 0, Path(printed.name).read_text()
        finally:
            program.kill()
            program.wait()
    writer.close()
    said = [line.split() for line in Path(printed.name).read_text().splitlines() if "localizations" in line]
    edge_nm = (BIN_NM - PIXEL_SIZE_NM) / 2
    for line, image, number in zip(said, pictures, numbers, strict=True):
        assert line[:2] == [str(number), "localizations"]
        assert (float(line[2]), float(line[3])) == (edge_nm, edge_nm)
        np.testing.assert_array_equal(np.load(tmp_path / f"{number}.npy"), image)
