"""Runs that are filed in a folder arrive whole, or it is said why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from finished_run import METADATA, finished
from locstream.bundle.bundle import Bundle, entities_of, open_bundles
from locstream.bundle.files import CRATE, RunFiles
from locstream.bundle.recovery import recover_run
from locstream.bundle.verify import verify_folder
from locstream.errors import LocstreamError
from locstream.upload import folder_filer
from locstream.upload.filer import CancelledError, UnreachableError
from locstream.upload.folder_filer import FolderFiler


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("upload") / "run", metadata=METADATA).folder


@pytest.fixture
def bundle(made: Path) -> Bundle:
    return open_bundles(made)[0]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "lab").mkdir()
    return tmp_path / "lab"


def quietly(what: str, done: int, total: int) -> None:
    """Take no notice."""


def test_every_file_arrives_and_its_description_holds(lab: Path, bundle: Bundle) -> None:
    told: list[tuple[int, int]] = []
    url = FolderFiler(lab).file(bundle, lambda what, done, total: told.append((done, total)))
    target = lab / f"run-{bundle.uuid}"
    assert url == target.as_uri()
    assert verify_folder(target).faults == ()
    assert {p.name for p in target.iterdir()} == {p.name for p in bundle.files.folder.iterdir()}
    assert told == sorted(told)
    assert told[-1] == (bundle.n_bytes, bundle.n_bytes)
    (there,) = open_bundles(target)
    assert (there.uuid, there.sha256) == (bundle.uuid, bundle.sha256)
    assert json.loads((target / CRATE).read_text())["@graph"][1]["license"] == {
        "@id": "https://spdx.org/licenses/CC-BY-4.0"
    }


def test_what_is_there_and_right_is_not_copied_again(lab: Path, bundle: Bundle) -> None:
    filer = FolderFiler(lab)
    filer.file(bundle, quietly)
    target = lab / f"run-{bundle.uuid}"
    (target / "run_recon.png").write_bytes(b"damaged")
    before = {path.name: path.stat().st_ino for path in target.iterdir()}
    filer.file(bundle, quietly)
    after = {path.name: path.stat().st_ino for path in target.iterdir()}
    assert {name for name in after if after[name] != before[name]} <= {"run_recon.png", CRATE}
    assert verify_folder(target).faults == ()


def test_one_of_two_runs_in_a_folder_is_filed_alone(tmp_path: Path, lab: Path, made: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(made, both)
    for path in list(both.iterdir()):
        if path.name != CRATE:
            shutil.copy(path, both / path.name.replace("run", "two", 1))
    (both / "two_summary.json").unlink()
    recover_run(RunFiles(both, "two"))
    first, second = open_bundles(both)
    assert (first.files.name, second.files.name) == ("run", "two")
    FolderFiler(lab).file(second, quietly)
    target = lab / f"two-{second.uuid}"
    assert verify_folder(target).faults == ()
    assert all(name.startswith(("two", CRATE)) for name in (path.name for path in target.iterdir()))
    assert not [entity for entity in entities_of(second) if entity["@id"].startswith("#run/")]


def test_a_share_that_is_not_mounted_is_waited_for(tmp_path: Path, bundle: Bundle) -> None:
    filer = FolderFiler(tmp_path / "not mounted")
    with pytest.raises(UnreachableError, match="is not there"):
        filer.file(bundle, quietly)
    assert not (tmp_path / "not mounted").exists()
    (check,) = filer.preflight()
    assert (check.fine, check.todo) == (False, "mount it, or have it made writable")


def test_a_folder_that_may_not_be_written_is_refused(
    lab: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(LocstreamError, match="Permission denied") as caught:
        FolderFiler(lab).file(bundle, quietly)
    assert not isinstance(caught.value, UnreachableError)


def test_a_full_disk_is_waited_for(lab: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UnreachableError, match="No space left"):
        FolderFiler(lab).file(bundle, quietly)


def test_a_copy_that_arrives_damaged_is_not_kept(lab: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_filer, "sha256_of", lambda path: "of something else")
    with pytest.raises(LocstreamError, match="is not what was sent"):
        FolderFiler(lab).file(bundle, quietly)
    assert list((lab / f"run-{bundle.uuid}").iterdir()) == []


def test_an_upload_that_is_stopped_goes_on(lab: Path, bundle: Bundle) -> None:
    left = 5

    def stop(what: str, done: int, total: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise CancelledError

    with pytest.raises(CancelledError):
        FolderFiler(lab).file(bundle, stop)
    target = lab / f"run-{bundle.uuid}"
    assert not (target / CRATE).exists()
    FolderFiler(lab).file(bundle, quietly)
    assert verify_folder(target).faults == ()
