"""What a user means by the argument of `locstream view`, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError
from locstream.stream.keys import Keyring, Role
from locstream_view.command import command
from locstream_view.following.target import FileTarget, LiveTarget, target_of


class TestTarget:
    def test_nothing_is_whatever_runs_here(self) -> None:
        assert target_of("") == LiveTarget()

    def test_an_endpoint(self) -> None:
        assert target_of("tcp://scope:5555") == LiveTarget(endpoint="tcp://scope:5555")

    def test_a_name_may_begin_later(self) -> None:
        assert target_of("cell-3") == LiveTarget(wanted="cell-3")

    def test_a_file_and_the_folder_of_a_run(self, tmp_path: Path) -> None:
        path = tmp_path / "run_locs.hdf5"
        path.write_bytes(b"")
        assert target_of(str(path)) == FileTarget(path)
        assert target_of(str(tmp_path)) == FileTarget(path)
        assert FileTarget(path).files == RunFiles(tmp_path, "run")

    @pytest.mark.parametrize("text", ["nowhere_locs.hdf5", "a/b"])
    def test_a_path_that_is_not_there_is_told(self, text: str) -> None:
        with pytest.raises(LocstreamError, match="there is no file"):
            target_of(text)

    def test_a_folder_without_results_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(LocstreamError, match="no results file"):
            target_of(str(tmp_path))


@pytest.mark.parametrize("where", [[], ["cell1"], ["omero:Image:12"]])
def test_what_goes_with_an_address_is_refused_without_one(where: list[str], tmp_path: Path) -> None:
    keys = Keyring(tmp_path / "keys").create_client("office", Role.VIEW)
    for option, value in (("keys", str(keys)), ("control", "tcp://m:9"), ("history", "tcp://m:8")):
        with pytest.raises(LocstreamError, match=f"--{option} goes with the address of a stream") as caught:
            command([*where, f"--{option}", value])
        assert "tcp://" in caught.value.todo


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--keep-rows", "0", "no number of localizations"),
        ("--keep-rows", "-5", "no number of localizations"),
        ("--keep-rows", "2e7", "no number of localizations"),
        ("--after", "-1", "no time in seconds"),
        ("--after", "nan", "no time in seconds"),
    ],
)
def test_a_number_that_is_none_is_named(
    option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command([f"{option}={value}"])
    said = capsys.readouterr().err
    assert option in said
    assert f"{value!r} is {words}" in said


def test_a_size_that_is_none_is_told_with_an_example() -> None:
    with pytest.raises(LocstreamError, match="--size 12 is no size") as caught:
        command(["--size", "12"])
    assert "1280x800" in caught.value.todo
