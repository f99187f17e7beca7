"""RO-Crate's own reader and validator take our description of a folder, and see what is in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from finished_run import ALSO, METADATA, finished
from locstream.bundle.checksum import sha256_of
from locstream.bundle.whole_file import files_in

pytestmark = pytest.mark.peer
READER = Path(__file__).with_name("crate_reader.py")


def read(python: Path, folder: Path) -> Any:
    done = subprocess.run([python, READER, folder], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_full_description_is_valid_and_follows_the_recommendations(tmp_path: Path, rocrate_python: Path) -> None:
    files = finished(tmp_path, bundle=ALSO, metadata=METADATA)
    seen = read(rocrate_python, tmp_path)
    assert [issue[2] for issue in seen["issues"]] == [
        "The organization SHOULD have a URL."
    ]  # which the form does not ask
    assert seen["name"] == "Pores"
    assert seen["files"] == {
        p.relative_to(tmp_path).as_posix(): sha256_of(p) for whole in files.finished for p in files_in(whole)
    }
    assert seen["actions"]["#run/localization"] == [
        ["run.ome.tif", "run_config.toml"],
        ["run_locs.hdf5", "run_locs.yaml"],
    ]


def test_a_description_without_metadata_lacks_only_who_publishes_it(tmp_path: Path, rocrate_python: Path) -> None:
    finished(tmp_path)
    issues = read(rocrate_python, tmp_path)["issues"]
    assert not [issue for issue in issues if issue[0] == "REQUIRED"]
    assert {issue[3] for issue in issues} <= {"./"}
    for _, _, message, _ in issues:
        assert any(word in message for word in ("publisher", "author", "license", "licens")), message


def test_a_description_that_lacks_its_name_is_not_valid(tmp_path: Path, rocrate_python: Path) -> None:
    """The validator is awake."""
    files = finished(tmp_path)
    files.crate.write_text(files.crate.read_text().replace('"datePublished"', '"datePublisht"'))
    assert "REQUIRED" in [issue[0] for issue in read(rocrate_python, tmp_path)["issues"]]
