"""`locstream verify` names each file that is missing, altered, cut short or extra; and never a good one."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from finished_run import finished
from killed_run import PAGES, Left, leave
from locstream.bundle import finish
from locstream.bundle.checksum import sha256_of
from locstream.bundle.files import CRATE, RunFiles
from locstream.bundle.recovery import recover_run
from locstream.bundle.verify import verify_folder
from locstream.bundle.verify_command import command
from locstream.bundle.whole_stack import check_whole
from locstream.errors import LocstreamError, StackError

Output = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return finished(tmp_path)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_a_finished_run_is_as_it_was(files: RunFiles, capsys: Output) -> None:
    assert command([str(files.folder)]) == 0
    assert capsys.readouterr().out == "7 files are as they were\n"


@pytest.mark.parametrize(
    ("harm", "said"),
    [(flip, "content is another"), (shorten, "bytes and had"), (Path.unlink, "is missing")],
    ids=["altered", "shortened", "missing"],
)
def test_each_file_that_is_harmed_is_named_alone(
    files: RunFiles, capsys: Output, harm: Callable[[Path], object], said: str
) -> None:
    for path in [p for p in files.finished if p.exists()]:
        content = path.read_bytes()
        harm(path)
        assert command([str(files.folder)]) == 1, path.name
        out = capsys.readouterr()
        faults = [line for line in out.err.splitlines() if "is not finished" not in line]
        assert len(faults) == 1
        assert faults[0].startswith(f"{path.name}: ")
        assert said in faults[0]
        path.write_bytes(content)
    assert command([str(files.folder)]) == 0


def test_an_extra_file_is_named(files: RunFiles, capsys: Output) -> None:
    (files.folder / "notes.txt").write_text("cell 3 looked best")
    assert command([str(files.folder)]) == 1
    assert capsys.readouterr().err == "notes.txt: is extra, no run made it\n"


def test_a_run_that_is_not_finished_is_named(files: RunFiles, capsys: Output) -> None:
    leave(files.folder / "b", Left(PAGES, 12))
    for path in (files.folder / "b").iterdir():
        path.rename(files.folder / path.name.replace("run", "dead", 1))
    (files.folder / "b").rmdir()
    assert command([str(files.folder)]) == 1
    assert "dead: is not finished; `locstream recover" in capsys.readouterr().err


def test_a_file_without_a_checksum_is_no_good_file(files: RunFiles) -> None:
    crate = json.loads(files.crate.read_text())
    for entity in crate["@graph"]:
        entity.pop("sha256", None)
    files.crate.write_text(json.dumps(crate))
    found = verify_folder(files.folder)
    assert found.whole == ()
    assert all("has no checksum" in fault for fault in found.faults)


def test_nothing_is_changed(files: RunFiles) -> None:
    flip(files.stack)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files.folder.iterdir()}
    verify_folder(files.folder)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files.folder.iterdir()} == before


def test_a_folder_without_a_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocstreamError, match="is not a folder"):
        command([str(tmp_path / "none")])
    with pytest.raises(LocstreamError, match="cannot be read") as caught:
        command([str(tmp_path)])
    assert "locstream recover" in caught.value.todo


def test_a_whole_stack_has_all_its_pages(files: RunFiles) -> None:
    assert check_whole(files.stack) == PAGES


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_a_stack_that_is_cut_off_is_refused(files: RunFiles, kept: float) -> None:
    """Bio-Formats reads one as a shorter film."""
    content = files.stack.read_bytes()
    files.stack.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(StackError, match="cut short"):
        check_whole(files.stack)


def test_a_stack_with_a_hole_in_place_of_its_end_is_refused(files: RunFiles) -> None:
    """A copy that was cut off may have its full length: pages and text that never arrived read as zeros."""
    content = files.stack.read_bytes()
    files.stack.write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    with pytest.raises(StackError, match="cut short"):
        check_whole(files.stack)


def test_a_stack_that_says_more_than_it_holds_is_refused(files: RunFiles) -> None:
    content = files.stack.read_bytes()
    assert content.count(b'SizeT="30"') == 1
    files.stack.write_bytes(content.replace(b'SizeT="30"', b'SizeT="31"'))
    with pytest.raises(StackError, match="holds 30 pages, and its OME-XML says 31"):
        check_whole(files.stack)


def test_a_truncated_stack_gets_no_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = leave(tmp_path, Left(PAGES, 12))

    def cut(*arguments: object, **more: object) -> Path | None:
        found = finish_stack(*arguments, **more)  # type: ignore[arg-type]  # passes on what it was given
        files.stack.write_bytes(files.stack.read_bytes()[:20_000])
        return found

    from locstream.bundle import recovery

    finish_stack = recovery.finish_stack
    monkeypatch.setattr(recovery, "finish_stack", cut)
    with pytest.raises(StackError, match="cut short"):
        recover_run(files)
    assert not files.crate.exists()
    assert not files.summary.exists()
    assert files.results.exists()
    assert finish.check_whole is check_whole


def test_the_crate_itself_is_no_extra_file(files: RunFiles) -> None:
    assert (files.folder / CRATE).exists()
    assert verify_folder(files.folder).faults == ()


def test_memory_stays_flat_whatever_the_size(tmp_path: Path) -> None:
    path = tmp_path / "large.ome.tif"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    tracemalloc.start()
    try:
        assert len(sha256_of(path)) == 64
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
