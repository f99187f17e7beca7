"""What the doctor prints: aligned, readable at a glance, and an exit status that says whether to worry."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from locstreamd.service import doctor
from locstreamd.service.checks import configured, disk
from locstreamd.service.checks.camera import Camera
from locstreamd.service.checks.configured import examine_configured, read
from locstreamd.service.checks.finding import Finding, Level, ok, problem, warning
from locstreamd.service.doctor import TEXT_COLUMN, WIDTH, examine, show

LONG = "the disk of /data has 12 MB/s and the camera needs 420 MB/s for 2048 × 2048 px at 100 frames/s " * 2


class Terminal(io.StringIO):
    """A terminal, as far as colour is concerned."""

    def isatty(self) -> bool:
        return True


def shown(finding: Finding, out: io.StringIO | None = None) -> str:
    out = out if out is not None else io.StringIO()
    show(finding, out)
    return out.getvalue()


def test_a_line_is_level_name_and_what_was_found() -> None:
    assert shown(ok("clock", "synchronised, within 2 ms")) == "ok       clock           synchronised, within 2 ms\n"


def test_what_to_do_stands_below() -> None:
    assert shown(problem("disk", "full", "make room")) == (
        "problem  disk            full\n                         → make room\n"
    )


@pytest.mark.parametrize("finding", [ok("disk", LONG), warning("disk speed", LONG, LONG)])
def test_long_sentences_are_wrapped_and_aligned(finding: Finding) -> None:
    lines = shown(finding).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= WIDTH
    assert all(line[:TEXT_COLUMN].strip() == "" for line in lines[1:])
    assert all(line[TEXT_COLUMN - 1] == " " and line[TEXT_COLUMN] != "" for line in lines)
    words = " ".join(line[TEXT_COLUMN:] for line in lines).replace("→", " ")
    assert words.split() == f"{finding.found} {finding.todo}".split(), "nothing is lost"


def test_a_path_is_never_broken() -> None:
    path = "/a/very/long/path" * 12
    assert path in shown(ok("folder", f"{path} is writable"))


def test_colour_only_in_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    finding = warning("clock", "not synchronised", "switch on a time service")
    assert "\x1b[" not in shown(finding)
    coloured = shown(finding, Terminal())
    assert coloured.startswith("\x1b[33mwarning  \x1b[0mclock ")
    assert coloured.replace("\x1b[33m", "").replace("\x1b[0m", "") == shown(finding)
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(finding, Terminal()) == shown(finding)


@pytest.mark.parametrize(
    ("findings", "status", "last"),
    [
        ([ok("a", "b")], 0, "1 ok, 0 warnings, 0 problems"),
        ([ok("a", "b"), warning("a", "b", "c")], 0, "1 ok, 1 warning, 0 problems"),
        ([problem("a", "b", "c"), warning("a", "b", "c"), problem("a", "b", "c")], 1, "0 ok, 1 warning, 2 problems"),
    ],
)
def test_the_status_is_1_where_there_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    findings: list[Finding],
    status: int,
    last: str,
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda path: iter(findings))
    assert doctor.command([]) == status
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_each_line_comes_as_soon_as_it_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compiling takes seconds, an unplugged camera its time-out: nobody should look at nothing for so long."""

    def slow(path: Path | None) -> Iterator[Finding]:
        yield ok("first", "quick")
        assert "first" in capsys.readouterr().out
        yield ok("second", "slow")

    monkeypatch.setattr(doctor, "examine", slow)
    assert doctor.command([]) == 0


def test_without_kernels_the_rest_is_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = problem("kernel cache", "no place", "set NUMBA_CACHE_DIR")
    monkeypatch.setattr(doctor, "check_kernel_cache", lambda: broken)
    monkeypatch.setattr(doctor, "check_kernels", lambda: pytest.fail("there are none"))
    found = list(examine(None))
    assert found[1] == broken
    assert {"Python", "clock", "viewer", "OMERO"} <= {finding.name for finding in found}


# --- what a configuration adds


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "TRIAL_BYTES", disk.PART_BYTES)
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(tmp_path / "rt"))
    monkeypatch.chdir(tmp_path)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scope.toml"
    path.write_text(text)
    return path


def names(path: Path | None) -> list[str]:
    return [finding.name for finding in examine_configured(path)]


def test_without_a_configuration_no_camera_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configured, "open_camera", lambda *given: pytest.fail("it was opened"))
    found = names(None)
    assert "camera" not in found
    assert {"configuration", "sockets", "port", "Micro-Manager", "memory", "folder", "disk speed"} <= set(found)


def test_a_simulation_has_no_buffer_to_size(tmp_path: Path) -> None:
    found = names(written(tmp_path, "[simulation]\nwidth = 32\nheight = 32\n"))
    assert "camera" in found
    assert "camera buffer" not in found


def test_a_damaged_configuration_is_a_problem_and_the_defaults_are_looked_at(tmp_path: Path) -> None:
    config, finding = read(written(tmp_path, "[acquisition\n"))
    assert finding.level is Level.PROBLEM
    assert "is not TOML" in finding.found
    assert config.simulation is config.micromanager is None
    assert "folder" in names(tmp_path / "scope.toml")


def test_what_differs_from_the_defaults_is_counted(tmp_path: Path) -> None:
    _, finding = read(written(tmp_path, "[simulation]\nwidth = 32\nheight = 32\n"))
    assert finding.found.endswith("2 settings differ from the defaults")


def test_a_camera_that_was_not_opened_leaves_out_what_only_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configured, "open_camera", lambda *given: Camera(warning("camera", "held", "wait")))
    found = names(written(tmp_path, "[micromanager]\nconfig_file = 'a.cfg'\n"))
    assert "calibration" not in found
    assert "camera buffer" not in found
    assert "disk speed" in found


def test_a_folder_that_cannot_be_had_is_not_tried_further(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = list(examine_configured(written(tmp_path, f"[acquisition]\nfolder = '{tmp_path}/file/run'\n")))
    assert [f.level for f in found if f.name == "folder"] == [Level.PROBLEM]
    assert not {"disk space", "disk speed"} & {f.name for f in found}


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    path = written(tmp_path, "[simulation]\nwidth = 32\nheight = 32\n")
    assert not [f for f in examine_configured(path) if f.level is Level.PROBLEM]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rt", "scope.toml"]
