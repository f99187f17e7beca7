"""Kernels are kept under the name of what they are made from, and only where nobody has said otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from locstream import __version__, kernel_cache
from locstream.kernel_cache import KEPT, cache_home, choose_kernel_cache, forget_old, sources_digest

PRINT_IT = "import os, locstream; print(os.environ.get('NUMBA_CACHE_DIR', 'not set'))"


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process that has not imported numba, whose user keeps such things in a folder of the test."""
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    for name in ("NUMBA_CACHE_DIR", "CACHE_DIRECTORY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_folder_is_named_after_version_and_sources(fresh: Path) -> None:
    folder = choose_kernel_cache("9.8.7")
    assert folder == fresh / "locstream" / "numba" / f"9.8.7-{sources_digest()}"
    assert folder.is_dir()
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)


def test_systemds_cache_directory_comes_first(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", f"{fresh}/var:{fresh}/other")
    folder = choose_kernel_cache("1")
    assert folder is not None
    assert folder.is_relative_to(fresh / "var" / "numba")


def test_without_xdg_it_is_in_the_home(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(fresh / "home"))
    assert cache_home() == fresh / "home" / ".cache" / "locstream"


def test_what_the_user_has_set_stays(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere")
    assert choose_kernel_cache("1") is None
    assert os.environ["NUMBA_CACHE_DIR"] == "/somewhere"
    assert list(fresh.iterdir()) == []


def test_a_choice_that_a_process_of_another_version_has_made_is_made_anew(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(fresh / "locstream" / "numba" / "1-abc"))
    assert choose_kernel_cache("2") == fresh / "locstream" / "numba" / f"2-{sources_digest()}"


def test_where_numba_has_read_its_settings_nothing_is_changed(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", kernel_cache)
    assert choose_kernel_cache("1") is None
    assert os.environ["NUMBA_CACHE_DIR"] == ""


def test_where_nothing_can_be_written_numba_finds_a_place_by_itself(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fresh / "file").write_text("")
    monkeypatch.setenv("CACHE_DIRECTORY", str(fresh / "file"))
    assert choose_kernel_cache("1") is None
    monkeypatch.setenv("CACHE_DIRECTORY", str(fresh))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert choose_kernel_cache("1") is None
    assert os.environ["NUMBA_CACHE_DIR"] == ""


def package(folder: Path) -> Path:
    for name in ("fitting", "rendering"):
        (folder / name).mkdir(parents=True)
        (folder / name / "kernels.py").write_text("one = 1\n")
    for name in ("compiled.py", "localizations.py"):
        (folder / name).write_text("one = 1\n")
    return folder


@pytest.mark.parametrize("changed", ["compiled.py", "fitting/kernels.py", "rendering/kernels.py", "localizations.py"])
def test_any_source_of_kernels_that_changes_changes_the_digest(tmp_path: Path, changed: str) -> None:
    before = sources_digest(package(tmp_path))
    assert sources_digest(tmp_path) == before
    (tmp_path / changed).write_text("two = 2\n")
    assert sources_digest(tmp_path) != before


def test_so_does_one_that_is_renamed(tmp_path: Path) -> None:
    before = sources_digest(package(tmp_path))
    (tmp_path / "fitting" / "kernels.py").rename(tmp_path / "fitting" / "other.py")
    assert sources_digest(tmp_path) != before


def test_only_the_folders_used_last_stay(tmp_path: Path) -> None:
    for age in range(KEPT + 3):
        folder = tmp_path / f"old-{age}"
        folder.mkdir()
        os.utime(folder, (1_000_000 - age, 1_000_000 - age))
    newest = tmp_path / "newest"
    newest.mkdir()
    forget_old(newest)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["newest", *(f"old-{age}" for age in range(KEPT))]


def test_importing_the_package_chooses_and_a_process_started_from_it_inherits(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "CACHE_DIRECTORY")}
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    child = f"{PRINT_IT}; import subprocess, sys; subprocess.run([sys.executable, '-c', {PRINT_IT!r}], check=True)"
    done = subprocess.run([sys.executable, "-c", child], env=environment, capture_output=True, text=True, check=True)
    own, inherited = sorted(done.stdout.split())
    assert own == inherited
    assert Path(own).name.startswith(f"{__version__}-")
    assert Path(own).is_dir()


def test_importing_the_package_does_not_import_numba() -> None:
    command = "import sys, locstream; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0
