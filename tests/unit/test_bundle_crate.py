"""What the description of a folder says is true of the files in it, and says it of every one."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from finished_run import ALSO, METADATA, finished
from killed_run import PAGES, Left, header, leave
from locstream import __version__
from locstream.bundle import crate, finish
from locstream.bundle.crate import NO_LICENCE, file_entities, read_crate, run_id, write_crate
from locstream.bundle.files import CRATE, RunFiles
from locstream.bundle.recovery import recover_run, unfinished_runs
from locstream.bundle.verify import verify_folder
from locstream.bundle.whole_file import files_in
from locstream.errors import LocstreamError
from locstream.results.lock import FileInUseError, FileLock


def crate_of(files: RunFiles) -> dict[str, dict[str, Any]]:
    return read_crate(files.crate)


def ids(value: Any) -> set[str]:
    return {entity["@id"] for entity in (value if isinstance(value, list) else [value])}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return finished(tmp_path_factory.mktemp("crate") / "f", bundle=ALSO, metadata=METADATA)


def test_every_file_is_described_with_its_checksum(run: RunFiles) -> None:
    described = file_entities(crate_of(run))
    there = {path.relative_to(run.folder).as_posix() for path in files_in(run.folder)} - {CRATE}
    assert set(described) == there
    assert run.thunderstorm.name in there
    assert run.pyme.name in there
    for name, entity in described.items():
        content = (run.folder / name).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert entity["contentSize"] == str(len(content))
        assert entity["description"]
        assert "/" in entity["encodingFormat"]


def test_what_came_of_which_is_said(run: RunFiles) -> None:
    graph = crate_of(run)
    localization, rendering, export = (graph[f"#run/{step}"] for step in ("localization", "rendering", "export"))
    assert ids(localization["object"]) == {"run.ome.tif", "run_config.toml"}
    assert ids(localization["result"]) == {"run_locs.hdf5", "run_locs.yaml"}
    assert ids(rendering["object"]) == {"run_locs.hdf5", "run_config.toml"}
    zarr = {name for name in ids(rendering["result"]) if name.startswith("run_recon.ome.zarr/")}
    assert "run_recon.ome.zarr/zarr.json" in zarr
    assert ids(rendering["result"]) - zarr == {"run_recon.png", "run_recon.ome.tif"}
    assert ids(export["result"]) == {"run_thunderstorm.csv", "run_pyme.h5r"}
    program = graph[localization["instrument"]["@id"]]
    assert (program["name"], program["softwareVersion"]) == ("locstream", __version__)
    assert {graph[name]["name"] for name in ids(program["softwareRequirements"])} >= {"numpy", "h5py", "Python"}
    assert graph["#run/"]["identifier"] == header().acquisition_id


def test_who_and_under_which_terms_is_said(run: RunFiles) -> None:
    graph = crate_of(run)
    root = graph["./"]
    assert root["name"] == "Pores"
    assert root["description"].startswith("Nuclear pores, µm scale\n")
    assert root["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}
    person = graph[root["author"]["@id"]]
    assert person["@id"] == "https://orcid.org/0000-0002-1825-0097"
    assert person["name"] == "Ada King Lovelace"
    assert graph[person["affiliation"]["@id"]]["name"] == "A Lab"
    told = {graph[name]["name"]: graph[name]["value"] for name in ids(graph["#run/"]["variableMeasured"])}
    assert told["Sample organism"] == "Homo sapiens"
    assert told["Label emission (nm)"] == "670"
    assert told["Laser 2"] == "640 nm, 100 mW, excitation"
    assert "Who" not in told


def test_every_reference_leads_somewhere(run: RunFiles) -> None:
    graph = crate_of(run)
    outside = {"https://w3id.org/ro/crate/1.1"}

    def references(value: object) -> set[str]:
        if isinstance(value, dict):
            return {value["@id"]} if set(value) == {"@id"} else set().union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    found = set().union(*(references(list(entity.values())) for entity in graph.values()))
    assert found - outside <= set(graph)
    assert len(found) > 15


def test_without_metadata_the_licence_is_not_made_up(tmp_path: Path) -> None:
    graph = crate_of(finished(tmp_path))
    assert graph["./"]["license"] == NO_LICENCE
    assert graph["./"]["name"] == "run"
    assert "author" not in graph["./"]
    assert "export" not in " ".join(graph)


def test_a_run_without_a_stack_is_described(tmp_path: Path) -> None:
    graph = crate_of(finished(tmp_path, pages=None))
    assert "#run/acquisition" not in graph
    assert graph["#run/localization"]["object"] == {"@id": "run_config.toml"}
    assert verify_folder(tmp_path).faults == ()


def test_two_runs_in_one_folder_are_both_described(tmp_path: Path) -> None:
    first = finished(tmp_path / "a", metadata=METADATA)
    second = finished(tmp_path / "b")
    for path in second.folder.iterdir():
        if path.name != CRATE:
            path.rename(tmp_path / "a" / path.name.replace("run", "two", 1))
    two = RunFiles(first.folder, "two")
    two.summary.unlink()
    assert unfinished_runs(first.folder) == [two]
    recover_run(two)
    graph = crate_of(two)
    assert graph["./"]["description"] == "2 runs of locstream."
    assert ids(graph["./"]["mentions"]) >= {"#run/", "#two/", "#run/rendering", "#two/rendering"}
    assert verify_folder(first.folder).faults == ()
    assert len(verify_folder(first.folder).whole) == 14


def test_describing_a_run_again_changes_nothing_else(tmp_path: Path) -> None:
    """A recovery that was killed before its summary does all of it again."""
    files = finished(tmp_path)
    before = read_crate(files.crate)
    files.summary.unlink()
    recover_run(files)
    again = read_crate(files.crate)
    changing = ("run_recon.ome.tif", "run_recon.png")
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert verify_folder(tmp_path).faults == ()


def test_a_kill_between_description_and_summary_leaves_a_run_that_recover_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = leave(tmp_path, Left(PAGES, 12))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(finish, "write_summary", killed)
    with pytest.raises(KeyboardInterrupt):
        recover_run(files)
    monkeypatch.undo()
    assert files.crate.exists()
    assert not files.summary.exists()
    assert "run_summary.json: is missing" in verify_folder(tmp_path).faults
    assert unfinished_runs(tmp_path) == [files]
    recover_run(files)
    assert verify_folder(tmp_path).faults == ()


def test_a_description_that_cannot_be_read_is_kept_aside(tmp_path: Path) -> None:
    files = finished(tmp_path)
    files.crate.write_text("{ half a")
    (tmp_path / f".{CRATE}.4711.part").write_text("of a killed process")
    write_crate(files, {"license": NO_LICENCE}, [])
    assert (tmp_path / f"{CRATE}.damaged").read_text() == "{ half a"
    assert not list(tmp_path.glob(".*"))


def test_two_runs_that_end_at_once_wait_for_each_other(tmp_path: Path) -> None:
    files = finished(tmp_path)
    runs = [RunFiles(tmp_path, f"run{number}") for number in range(8)]

    def describe(run: RunFiles) -> None:
        entity = {"@id": run_id(run.name), "@type": "Collection", "hasPart": []}
        write_crate(run, {"license": NO_LICENCE, "datePublished": "2026"}, [entity])

    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(describe, runs))
    assert {run_id(run.name) for run in (files, *runs)} <= set(crate_of(files))


def test_a_description_that_somebody_holds_for_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = finished(tmp_path)
    monkeypatch.setattr(crate, "PATIENCE_S", 0.1)
    with FileLock(tmp_path / ".ro-crate.lock", files.crate), pytest.raises(FileInUseError):
        write_crate(files, {"license": NO_LICENCE}, [])


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"@graph": 3}', '{"@graph": [{"@id": "./", "@type": "File"}]}', '{"@graph": [{"name": "x"}]}'],
)
def test_what_is_no_crate_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / CRATE).write_text(content)
    with pytest.raises(LocstreamError, match="is not an RO-Crate"):
        read_crate(tmp_path / CRATE)


@pytest.mark.parametrize("part", ["../passwd", "/etc/passwd", "sub/../../file", "sub\\\\file", "..", "unheard-of"])
def test_a_part_outside_the_folder_is_refused(tmp_path: Path, part: str) -> None:
    graph = {"./": {"@id": "./", "@type": "Dataset", "hasPart": [{"@id": part}]}}
    if part != "unheard-of":
        graph[part] = {"@id": part, "@type": "File"}
    with pytest.raises(LocstreamError, match="no file of its folder"):
        file_entities(graph)


def test_the_summary_names_what_is_there(run: RunFiles) -> None:
    told = json.loads(run.summary.read_text())["files"]
    assert sorted(told) == sorted(path.name for path in run.folder.iterdir())
