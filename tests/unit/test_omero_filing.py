"""A run is filed once, whatever cuts the filing off and however often."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from finished_run import ALSO, METADATA, finished
from locstream.bundle.bundle import Bundle, open_bundles
from locstream.errors import LocstreamError
from locstream.omero import filing
from locstream.omero.filing import Filing
from locstream.omero.server import Pixels
from locstream.omero.settings import OmeroSettings
from omero_in_memory import SETTINGS, Killed, Memory, MemoryServer

SHORT = 7
"""The reduced form kills at every so manyeth call."""


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("omero") / "run"
    return open_bundles(finished(folder, metadata=METADATA, bundle=ALSO).folder)[0]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filing, "BLOCK", 40_000)
    monkeypatch.setattr(filing, "TABLE_ROWS", 25)


def file(bundle: Bundle, server: MemoryServer, settings: OmeroSettings = SETTINGS) -> str:
    return Filing(server, bundle, settings, quiet).file()


def undisturbed(bundle: Bundle) -> tuple[list[str], int]:
    memory = Memory()
    server = MemoryServer(memory)
    file(bundle, server)
    return memory.census(), server.calls


def killed_at(memory: Memory, call: int, *, after: bool) -> MemoryServer:
    def kill(number: int) -> None:
        if number == call:
            raise Killed

    return MemoryServer(memory, after=kill) if after else MemoryServer(memory, before=kill)


def test_a_second_filing_makes_nothing(bundle: Bundle) -> None:
    memory = Memory()
    url = file(bundle, MemoryServer(memory))
    census = memory.census()
    again = MemoryServer(memory)
    assert file(bundle, again) == url
    assert memory.census() == census
    assert again.made == []


def kill_everywhere(bundle: Bundle, step: int) -> int:
    census, calls = undisturbed(bundle)
    kills = 0
    for after in (False, True):
        for call in range(1, calls + 1, step):
            memory = Memory()
            with pytest.raises(Killed):
                file(bundle, killed_at(memory, call, after=after))
            kills += 1
            file(bundle, MemoryServer(memory))
            assert memory.census() == census, (call, after)
    return kills


def kill_again_and_again(bundle: Bundle, times: int) -> int:
    census, calls = undisturbed(bundle)
    kills = 0
    for seed in range(times):
        chance = random.Random(seed)
        memory = Memory()
        for _ in range(chance.randint(1, 4)):
            try:
                file(bundle, killed_at(memory, chance.randint(1, calls), after=chance.random() < 0.5))
            except Killed:
                kills += 1
        file(bundle, MemoryServer(memory))
        assert memory.census() == census, seed
    return kills


def test_killed_at_calls_here_and_there(bundle: Bundle) -> None:
    assert kill_everywhere(bundle, SHORT) > 20
    assert kill_again_and_again(bundle, 10) > 10


@pytest.mark.full
def test_killed_before_and_after_every_call(bundle: Bundle) -> None:
    kills = kill_everywhere(bundle, 1) + kill_again_and_again(bundle, 300)
    print(f"{kills} kills, every census equal")
    assert kills > 500


def test_what_is_there_in_the_end(bundle: Bundle) -> None:
    memory = Memory()
    url = file(bundle, MemoryServer(memory))
    ((dataset, about),) = memory.of("Dataset")
    assert about["name"] == "run"
    assert memory.things[about["project"]]["name"] == "SMLM"
    (raw, first), (reconstruction, second) = memory.of("Image")
    assert url.endswith(f"show=image-{raw}|image-{reconstruction}")
    assert [first["name"], second["name"]] == ["run.ome.tif", "run_recon.ome.tif"]
    assert first["pixels"] == Pixels(40, 32, 30, "uint16")
    assert 90 < first["range"][0] < first["range"][1] < 65535
    assert second["range"][0] == 0 < second["range"][1]
    names = {memory.things[thing["file"]]["name"] for _, thing in memory.of("FileAnnotation")}
    assert {"run_locs.hdf5", "run_thunderstorm.csv", "run_config.toml", "ro-crate-metadata.json"} <= names
    assert not names & {"run.ome.tif", "run_recon.ome.tif"}
    assert not [name for name in names if name.endswith("zarr.json")], "no pieces of a picture"
    for number, _ in [*memory.of("FileAnnotation"), *memory.of("TagAnnotation")]:
        assert {parent for parent, child in memory.links if child == number} == {dataset, raw, reconstruction}


def test_the_images_link_to_each_other(bundle: Bundle) -> None:
    memory = Memory()
    file(bundle, MemoryServer(memory))
    (raw, _), (reconstruction, _) = memory.of("Image")
    ((dataset, _),) = memory.of("Dataset")

    def pairs(number: int) -> dict[str, str]:
        (found,) = [thing["pairs"] for n, thing in memory.of("MapAnnotation") if (number, n) in memory.links]
        return dict(found)

    assert pairs(raw)["Reconstruction"] == f"Image:{reconstruction}"
    assert pairs(reconstruction)["Raw data"] == f"Image:{raw}"
    assert pairs(raw)["Dataset"] == pairs(reconstruction)["Dataset"] == f"Dataset:{dataset}"
    assert (pairs(dataset)["Raw data"], "Dataset" in pairs(dataset)) == (f"Image:{raw}", False)
    told = pairs(raw)
    assert told["Pixel size"] == "100 nm"
    assert told["Label fluorophore"] == "Alexa Fluor 647"
    assert told["Fit threshold"] == "4.5"
    assert told["Acquisition"] == bundle.uuid


def test_what_people_have_written_since_stays(bundle: Bundle) -> None:
    memory = Memory()
    file(bundle, MemoryServer(memory))
    (number, thing), *_ = memory.of("MapAnnotation")
    thing["pairs"]["Mood"] = "good"
    again = MemoryServer(memory)
    file(bundle, again)
    assert memory.things[number]["pairs"]["Mood"] == "good"
    assert again.made == []


def test_runs_of_a_day_share_a_dataset(bundle: Bundle, tmp_path: Path) -> None:
    settings = OmeroSettings(host="h", project="{study} {year}", dataset="{date} {sample}", table=True)
    memory = Memory()
    file(bundle, MemoryServer(memory), settings)
    files = finished(tmp_path / "other", metadata=METADATA)
    other = open_bundles(files.folder)[0]
    second = Bundle(other.files, "another", other.sha256, other.graph)
    file(second, MemoryServer(memory), settings)
    ((dataset, about),) = memory.of("Dataset")
    assert about["name"].endswith(" U2OS")
    assert memory.things[about["project"]]["name"] == "2023"  # no study was given
    assert len(memory.of("Image")) == 4
    assert not [child for parent, child in memory.links if parent == dataset], "it is not one run's alone"


def test_a_dataset_that_is_given_must_be_linkable(bundle: Bundle) -> None:
    settings = OmeroSettings(host="h", dataset="Dataset:7")
    memory = Memory(may_link=False)
    with pytest.raises(LocstreamError, match="may not put images into Dataset:7") as error:
        file(bundle, MemoryServer(memory), settings)
    assert "nothing was sent" in error.value.safe
    assert memory.census() == []


def test_a_server_without_tables_gets_the_files(bundle: Bundle) -> None:
    memory = Memory(tables=False)
    told: list[str] = []
    Filing(MemoryServer(memory), bundle, SETTINGS, lambda what, done, total: told.append(what)).file()
    assert "the server has no tables: localizations are attached as files only" in told
    assert not [thing for _, thing in memory.of("OriginalFile") if thing["mimetype"] == "OMERO.tables"]


def test_a_stack_that_the_server_misread_is_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    server = MemoryServer(memory)
    monkeypatch.setattr(MemoryServer, "pixels", lambda self, image: Pixels(40, 32, 15, "uint16"))
    with pytest.raises(LocstreamError, match="15 planes of 40 × 32 px, uint16, and it is 30 planes"):
        file(bundle, server)


@pytest.mark.parametrize(
    ("settings", "roles", "left_out"),
    [
        ({"raw": False}, ["reconstruction"], "run.ome.tif"),
        ({"without": ("*.csv", "*_locs.hdf5")}, ["raw", "reconstruction"], "run_thunderstorm.csv"),
    ],
)
def test_what_is_not_wanted_stays_here(
    bundle: Bundle, settings: dict[str, Any], roles: list[str], left_out: str
) -> None:
    memory = Memory()
    file(bundle, MemoryServer(memory), OmeroSettings(host="h", **settings))
    assert [thing["key"].role for _, thing in memory.of("Image")] == roles
    names = {thing["name"] for _, thing in memory.of("OriginalFile")}
    assert left_out not in names
    assert "run_locs.hdf5" in names, "the localizations always go"


def test_progress_counts_every_byte(bundle: Bundle) -> None:
    seen: list[tuple[int, int]] = []
    Filing(MemoryServer(Memory()), bundle, SETTINGS, lambda what, done, total: seen.append((done, total))).file()
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {total for _, total in seen} == {seen[-1][0]}
    whole = [path.stat().st_size for path in bundle.paths if path.parent == bundle.files.folder]
    assert seen[-1][0] == sum(whole) + bundle.files.crate.stat().st_size
