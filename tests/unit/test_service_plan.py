"""What is settled before a run begins, of a camera as of a stack: all that it needs, or nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from locstream.errors import ConfigError, LocstreamError
from locstream.rendering import ome_zarr
from locstream.results.file import ResultsWriter
from locstream.stacks.source import Frame, SourceInfo
from locstreamd.service.config import Config
from locstreamd.service.disk import DiskGuard
from locstreamd.service.plan import Plan, Prepared, prepare, settle

Settle = Callable[[Config], Prepared]
INFO = SourceInfo("camera", 8, 6, frames=10, pixel_size_nm=110.0)


class Source:
    """A source that says what it is, and is never started."""

    paced = True
    info = INFO
    exhausted = False

    def start(self) -> None: ...

    def read(self, timeout_s: float) -> Frame | None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


def config(folder: Path, **tables: object) -> Config:
    return Config.model_validate({"acquisition": {"name": "cell", "folder": str(folder)}, **tables})


def settled(config: Config, stack: Path | None = None) -> Prepared:
    return settle(config, INFO, None, None, stack)


def prepared(config: Config) -> Prepared:
    return prepare(Plan(config, Source()))


@pytest.mark.parametrize("settle_it", [settled, prepared], ids=["stack", "camera"])
def test_header_and_task_say_the_same(tmp_path: Path, settle_it: Settle) -> None:
    found = settle_it(config(tmp_path / "run", fit={"threshold": 7.5}))
    assert (found.task.height, found.task.width) == (found.header.height, found.header.width) == (6, 8)
    assert found.task.options.threshold == found.header.fit["threshold"] == 7.5
    assert found.task.calibration.pixel_size_nm == found.header.pixel_size_nm == 110.0
    assert found.header.calibration is not None
    assert found.header.calibration.digest == found.task.calibration.digest()
    assert found.files.folder == tmp_path / "run"
    assert found.files.folder.is_dir()
    assert "no calibration for the camera" in found.warnings[0]


@pytest.mark.parametrize("settle_it", [settled, prepared], ids=["stack", "camera"])
def test_what_could_not_be_written_in_the_end_is_told_at_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settle_it: Settle
) -> None:
    monkeypatch.setattr(ome_zarr, "zarr_is_there", lambda: False)
    with pytest.raises(ConfigError, match="needs the Python package zarr"):
        settle_it(config(tmp_path / "run", bundle={"also": ["ome-zarr"]}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settle_it", [settled, prepared], ids=["stack", "camera"])
def test_nothing_is_overwritten(tmp_path: Path, settle_it: Settle) -> None:
    first = settle_it(config(tmp_path / "run"))
    with ResultsWriter(first.files.live_results, first.header, calibration=first.task.calibration):
        pass
    with pytest.raises(LocstreamError, match="cell"):
        settle_it(config(tmp_path / "run"))


def test_a_median_over_frames_to_come_is_for_stacks_alone(tmp_path: Path) -> None:
    wanted = config(tmp_path / "run", fit={"background": "temporal_median"})
    with pytest.raises(ConfigError, match="no median over the frames to come") as refused:
        prepared(wanted)
    assert "`locstream fit`" in refused.value.todo
    assert not (tmp_path / "run").exists()
    assert settled(wanted).task.options.background == "temporal_median"


def test_a_camera_needs_room_and_a_stack_is_there_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskGuard, "free_mb", property(lambda self: 1.0))
    with pytest.raises(LocstreamError, match="10 frames need about"):
        prepared(config(tmp_path / "run"))
    assert settled(config(tmp_path / "other")).files.folder.is_dir()


def test_where_the_stack_lies_is_kept(tmp_path: Path) -> None:
    stack = tmp_path / "raw.tif"
    stack.touch()
    found = settled(config(tmp_path / "run"), stack)
    assert any("raw.tif" in value for value in found.header.source.values())
    assert not any("raw.tif" in value for value in settled(config(tmp_path / "none")).header.source.values())
