"""A run is handed on only as its description says, and only where that is one of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finished_run import finished
from killed_run import header
from locstream.bundle.bundle import open_bundles
from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return finished(tmp_path)


def change(files: RunFiles, how: Callable[[dict[str, Any]], object]) -> None:
    """Change what the crate says of the run."""
    crate = json.loads(files.crate.read_text())
    how(next(entity for entity in crate["@graph"] if entity["@id"] == "#run/"))
    files.crate.write_text(json.dumps(crate))


def test_a_finished_run_is_found_with_its_files(files: RunFiles) -> None:
    (bundle,) = open_bundles(files.folder)
    assert bundle.uuid == header().acquisition_id
    assert set(bundle.paths) == {path for path in files.finished if path.exists()}
    assert bundle.n_bytes == sum(path.stat().st_size for path in bundle.paths)
    bundle.check()


@pytest.mark.parametrize(
    "harm", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes() + b"x")], ids=["gone", "longer"]
)
def test_a_run_with_a_file_that_is_harmed_is_not_handed_on(files: RunFiles, harm: Callable[[Path], object]) -> None:
    (bundle,) = open_bundles(files.folder)
    for path in bundle.paths:
        content = path.read_bytes()
        harm(path)
        with pytest.raises(LocstreamError, match=path.name):
            bundle.check()
        path.write_bytes(content)
    bundle.check()


@pytest.mark.parametrize(
    "how",
    [
        lambda run: run.update({"@id": "#..%2F..%2Fetc/"}),
        lambda run: run.update({"@id": "#/"}),
        lambda run: run.update({"@id": 7}),
        lambda run: run.pop("identifier"),
        lambda run: run.update(identifier=["a"]),
        lambda run: run.pop("hasPart"),
        lambda run: run["hasPart"].append({"@id": "..%2Fpasswd"}),
        lambda run: run["hasPart"].append("run.ome.tif"),
    ],
)
def test_a_description_that_was_tampered_with_is_refused(
    files: RunFiles, how: Callable[[dict[str, Any]], object]
) -> None:
    change(files, how)
    with pytest.raises(LocstreamError, match="does not describe the run"):
        open_bundles(files.folder)
