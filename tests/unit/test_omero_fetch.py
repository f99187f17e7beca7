"""Stacks and localizations are fetched from OMERO whole or not at all, and their results find the way back."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from locstream.errors import LocstreamError
from locstream.omero.fetch import fetch, image_number, localizations_of, stack_of
from locstream.omero.filing import SOURCE, source_image
from locstream.omero.server import FileOnServer
from locstream.omero.settings import OmeroSettings
from locstream.upload.filer import UnreachableError


class Files:
    """A server that has files."""

    def __init__(self, *contents: bytes) -> None:
        self.contents = contents

    def file(self, number: int, name: str = "a_locs.hdf5", **changes: Any) -> FileOnServer:
        content = self.contents[number]
        return FileOnServer(
            **{
                "file": number,
                "name": name,
                "size": len(content),
                "sha1": hashlib.sha1(content).hexdigest(),
                **changes,
            }
        )

    def read(self, file: int, offset: int, count: int) -> bytes:
        return self.contents[file][offset : offset + count]

    def files_of(self, image: int) -> list[FileOnServer]:
        return [self.file(number, f"{number}.ome.tif") for number in range(image)]

    def attachments_of(self, image: int) -> list[FileOnServer]:
        return [self.file(0, "a.csv"), self.file(1, "a_locs.hdf5")] if image == 1 else []


def test_a_file_is_fetched_whole_or_not_at_all(tmp_path: Path) -> None:
    server: Any = Files(b"abc" * 3_000_000)
    path = fetch(server, server.file(0), tmp_path / "new")
    assert path.read_bytes() == server.contents[0]
    for wrong in ({"size": 10_000_000}, {"sha1": "0" * 40}):
        with pytest.raises(UnreachableError, match="not what the server has"):
            fetch(server, server.file(0, **wrong), tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


def test_a_name_on_the_server_stays_in_the_folder(tmp_path: Path) -> None:
    server: Any = Files(b"abc")
    assert fetch(server, server.file(0, "../../etc/a_locs.hdf5"), tmp_path / "in") == tmp_path / "in" / "a_locs.hdf5"
    for name in ("..", "a/..", "", "a\0b"):
        with pytest.raises(LocstreamError, match="cannot have that name here"):
            fetch(server, server.file(0, name), tmp_path / "in")


def test_the_localizations_of_an_image_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server: Any = Files(b"table", b"localizations")
    path = localizations_of(server, 1)
    assert path.read_bytes() == b"localizations"
    monkeypatch.setattr(Files, "read", None)
    assert localizations_of(server, 1) == path, "it is not fetched twice"
    with pytest.raises(LocstreamError, match="no localizations are attached to Image:2") as error:
        localizations_of(server, 2)
    assert "locstream omero process Image:2" in error.value.todo


def test_an_image_of_several_files_is_not_a_stack() -> None:
    server: Any = Files(b"a", b"b")
    assert stack_of(server, 1).name == "0.ome.tif"
    for image in (0, 2):
        with pytest.raises(LocstreamError, match=f"imported from {image} files"):
            stack_of(server, image)


def test_images_are_named_by_number() -> None:
    assert image_number("Image:12") == image_number("12") == 12
    for wrong in ("Dataset:3", "Image:0", "twelve", ""):
        with pytest.raises(LocstreamError, match="names no image"):
            image_number(wrong)


def test_results_belong_to_the_image_they_came_from_on_the_same_server_only() -> None:
    settings = OmeroSettings(host="wss://omero.example.org/omero-ws")
    assert source_image({SOURCE: "omero.example.org Image:12"}, settings) == 12
    assert source_image({SOURCE: "another.example.org Image:12"}, settings) is None
    assert source_image({}, settings) is None
