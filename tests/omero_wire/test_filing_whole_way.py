"""From a demo acquisition to links in OMERO and back, with the commands that people type; killed on the way."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from finished_run import METADATA, finished
from locstream.bundle.bundle import Bundle, open_bundles
from locstream.results.reader import ResultsReader
from omero_wire.stand_in_process import StandIn
from omero_wire.uploader import new_in, people_find, variables

pytestmark = [pytest.mark.system, pytest.mark.peer, pytest.mark.timeout(1200)]
LOCSTREAM = str(Path(sys.executable).parent / "locstream")
PATIENCE_S = 400
"""The first to fit after a change of the kernels compiles them."""


class Person:
    """Types commands, with a home of their own, and is logged in to a server."""

    def __init__(self, python: Path, server: StandIn, home: Path, runtime: str) -> None:
        self.home, self.runtime, self.server = home, runtime, server
        self.variables = {**variables(python, home), "LOCSTREAM_RUNTIME_DIR": runtime, "QT_QPA_PLATFORM": "offscreen"}
        self.settings = home / "config" / "locstream" / "upload.toml"
        self.settings.parent.mkdir(parents=True)
        self.write()
        said = self("omero", "login", "--user", "ada", "--password-from-stdin", typed="secret\n")
        assert "logged in" in said

    def write(self, **changes: str) -> None:
        table = {"host": self.server.url, "group": "lab", **changes}
        text = "\n".join(f'{key} = "{value}"' for key, value in table.items())
        self.settings.write_text(f'while_acquiring = true\n[omero]\n{text}\ntags = ["demo"]\n')

    def __call__(self, *words: object, typed: str = "", status: int = 0) -> str:
        done = subprocess.run(
            [LOCSTREAM, *map(str, words)],
            input=typed,
            capture_output=True,
            text=True,
            env=self.variables,
            cwd=self.home,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [LOCSTREAM, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.variables,
            cwd=self.home,
        )


@pytest.fixture
def runtime() -> Iterator[str]:
    """Return a private folder for sockets; short, as paths of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ls-") as folder:
        yield folder


@pytest.fixture
def person(omero_python: Path, omero_server: StandIn, tmp_path: Path, runtime: str) -> Person:
    return Person(omero_python, omero_server, tmp_path / "home", runtime)


def images_in(url: str) -> list[int]:
    return [int(number) for number in re.findall(r"image-(\d+)", url)]


def test_from_the_demo_to_links_in_omero(person: Person, omero_python: Path, tmp_path: Path) -> None:
    """What the README says, typed."""
    (tmp_path / "home" / "demo.toml").write_text(
        '[bundle]\nupload = true\nalso = ["thunderstorm"]\n[metadata]\ntitle = "A simulated cell"\n'
    )
    person("demo", "--config", "demo.toml", "--frames", 60, "--size", 64, "--fps", 200)
    checks = person("upload", "preflight")
    assert "NO" not in checks
    said = person("upload", "now")
    url = re.search(r"is filed: (\S+)", said)
    assert url is not None, said
    assert url[1] in person("upload", "status")
    raw, reconstruction = images_in(url[1])

    (folder,) = (tmp_path / "home" / "demo-output").iterdir()
    (bundle,) = open_bundles(folder)
    server = person.server
    found = people_find(omero_python, server.url, "ada", "secret", raw, tmp_path / "downloads")
    assert (found["name"], found["size"]) == (bundle.files.stack.name, [64, 64, 60])
    assert (found["project"], found["dataset"], found["tags"]) == ("SMLM", bundle.files.name, ["demo"])
    assert found["reconstruction"] == bundle.files.reconstruction.name
    assert found["pairs"]["Reconstruction"] == f"Image:{reconstruction}"
    assert found["back"] == f"Image:{raw}"
    assert 0 < found["range"][0] < found["range"][1]
    sent = {bundle.files.name_of(path) for path in bundle.paths} - {found["name"], found["reconstruction"]}
    for files in (found["files"], found["streamed"]):
        assert {name: files[name] for name in sent} == {name: bundle.sha256[name] for name in sent}

    before = server.census()
    person("upload", "add", folder)
    assert person("upload", "now") == ""
    assert server.census() == before, "it is known that it is there"


def test_processing_what_is_in_omero_already(person: Person, tmp_path: Path) -> None:
    files = finished(tmp_path / "run", metadata=METADATA)
    person("upload", "add", files.folder)
    (raw, _) = images_in(person("upload", "now"))
    before = person.server.census()
    said = person("omero", "process", f"Image:{raw}", "--pixel-size-nm", 100, "--out", "fitted")
    (bundle,) = open_bundles(tmp_path / "home" / "fitted")
    (source, reconstruction) = images_in(said.partition("is filed: ")[2])
    assert source == raw
    assert reconstruction != raw
    new = new_in(person.server, before)
    assert len([line for line in new if line.startswith("Image ")]) == 1, "the raw stack is there once"
    assert not [line for line in new if line.startswith(("Dataset ", "Project "))], "beside the image it came from"
    pairs = [line for line in new if line.startswith("MapAnnotation ") and "mapAnnotation" in line]
    assert len([line for line in pairs if "Raw data" in line]) == 1
    assert len([line for line in pairs if "Reconstruction" in line]) == 1

    shot = tmp_path / "shot.png"
    person("view", f"omero:Image:{raw}", "--screenshot", shot, "--after", "1")
    assert shot.stat().st_size > 1000
    with ResultsReader(bundle.files.results) as results:
        assert results.n_rows > 0


# --- killed


def another(bundle: Bundle, folder: Path) -> Bundle:
    """Return the same run with an identifier of its own."""
    shutil.copytree(bundle.files.folder, folder)
    crate = folder / bundle.files.crate.name
    crate.write_text(crate.read_text().replace(f'"{bundle.uuid}"', f'"{uuid.uuid4()}"'))
    return open_bundles(folder)[0]


def kill_again_and_again(person: Person, run: Path, folder: Path, kills: int, seed: int) -> int:
    """File one run after another, with uploaders killed at random moments until so many were; compare what is there."""
    chance = random.Random(seed)
    bundle = open_bundles(run)[0]
    killed, expected, length_s, took_s = 0, None, 0.0, 0.0
    for number in range(10 * kills):
        one = another(bundle, folder / str(number))
        person.write(project=f"project-{number:04}-")
        before = person.server.census()
        person("upload", "add", one.files.folder)
        while True:
            uploader = person.start("upload", "now")
            assert uploader.stdout is not None
            first = uploader.stdout.readline()
            if not first:  # the one before was killed when it had filed the run, and had said so in its ticket
                uploader.communicate(timeout=PATIENCE_S)
                assert uploader.returncode == 0
                break
            assert first == "run: begins\n"
            began_s = time.monotonic()
            timer = None
            if expected is not None and killed < kills:
                timer = threading.Timer(chance.uniform(0, 1.1 * length_s), uploader.kill)
                timer.start()
            rest = uploader.communicate(timeout=PATIENCE_S)[0]
            took_s = time.monotonic() - began_s
            if timer is not None:
                timer.cancel()
            if uploader.returncode == 0:
                break
            assert uploader.returncode == -signal.SIGKILL, rest
            killed += 1
        crate_sha1 = _sha1_of(one.files.crate)
        names = (one.uuid, "UUID"), (f"project-{number:04}-", "PROJECT"), (crate_sha1, "SHA1"), *_sizes(one)
        found = new_in(person.server, before, *names)
        if expected is None:
            expected, length_s = found, took_s
        assert [line for line in found if not line.startswith("TagAnnotation")] == [
            line for line in expected if not line.startswith("TagAnnotation")
        ]
        if killed >= kills:
            return killed
    return killed


def _sha1_of(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _sizes(bundle: Bundle) -> list[tuple[str, str]]:
    return [(f"size={bundle.files.crate.stat().st_size}", "size=CRATE")]


def test_killed_at_random_moments(person: Person, tmp_path: Path) -> None:
    files = finished(tmp_path / "run", metadata=METADATA)
    assert kill_again_and_again(person, files.folder, tmp_path / "copies", 3, seed=1) >= 3


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_killed_at_fifty_random_moments(person: Person, tmp_path: Path) -> None:
    files = finished(tmp_path / "run", metadata=METADATA)
    kills = kill_again_and_again(person, files.folder, tmp_path / "copies", 50, seed=2)
    print(f"{kills} uploaders killed at random moments, every census equal")
    assert kills >= 50
