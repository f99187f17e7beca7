"""What goes wrong with an OMERO server is told in a sentence with the next step, and nothing is sent less safely."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from finished_run import finished
from locstream.bundle.bundle import open_bundles
from omero_wire.stand_in_process import Certificates, StandIn, make_certificates
from omero_wire.uploader import RefusedError, Uploader

pytestmark = [pytest.mark.system, pytest.mark.peer]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("omero") / "run").folder


def table(server: StandIn, **changes: Any) -> dict[str, Any]:
    return {"host": server.url, "group": "lab", **changes}


def login(uploader: Uploader, settings: dict[str, Any], user: str = "ada", password: str = "secret") -> None:
    uploader.order("login", settings=settings, user=user, password=password)


def refusal(uploader: Uploader, settings: dict[str, Any], run: Path) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        uploader.order("file", settings=settings, folder=str(run))
    assert "\n" not in refused.value.what
    assert "stays queued" in refused.value.safe
    return refused.value


def test_nobody_has_logged_in(uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    refused = refusal(uploader, table(omero_server), run)
    assert refused.kind == "SessionRefusedError"
    assert "nobody has logged in" in refused.what
    assert "locstream omero login" in refused.todo


def test_a_wrong_password(uploader: Uploader, omero_server: StandIn) -> None:
    with pytest.raises(RefusedError, match="refuses the login") as refused:
        login(uploader, table(omero_server), password="wrong")
    assert refused.value.kind == "SessionRefusedError"


def test_a_session_that_has_ended(uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    login(uploader, table(omero_server))
    omero_server.kill_sessions()
    refused = refusal(uploader, table(omero_server), run)
    assert refused.kind == "SessionRefusedError"
    assert "from `locstream omero login` has ended" in refused.what


def test_a_session_that_is_killed_in_the_middle_by_everybody(
    uploader: Uploader, omero_server: StandIn, run: Path
) -> None:
    """The user's own session goes too: only logging in again helps, and what is there by then is not made again."""
    login(uploader, table(omero_server))
    before = omero_server.census()
    uploader.order("file", settings=table(omero_server), folder=str(run))
    whole = len(omero_server.census()) - len(before)
    omero_server.kill_sessions()
    refusal(uploader, table(omero_server), run)
    login(uploader, table(omero_server))
    uploader.order("file", settings=table(omero_server), folder=str(run))
    assert len(omero_server.census()) - len(before) == whole


@pytest.mark.parametrize("group", ["elsewhere", "no-such-group"])
def test_a_group_of_others(group: str, uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    login(uploader, table(omero_server))
    refused = refusal(uploader, table(omero_server, group=group), run)
    assert f"ada is not in the group '{group}'" in refused.what
    assert "lab" in refused.what
    assert "upload.toml" in refused.todo


def test_a_dataset_of_a_colleague_in_which_one_may_only_read(
    uploader: Uploader, omero_server: StandIn, run: Path
) -> None:
    login(uploader, table(omero_server), user="bob")
    uploader.order("file", settings=table(omero_server), folder=str(run))
    (theirs,) = [row["id"] for row in omero_server.objects() if row["kind"] == "Dataset"]
    login(uploader, table(omero_server))
    before = omero_server.census()
    refused = refusal(uploader, table(omero_server, dataset=f"Dataset:{theirs}"), run)
    assert f"you may not put images into Dataset:{theirs}" in refused.what
    assert "nothing was sent" in refused.safe
    assert omero_server.census() == before
    checks = {
        check["name"]: check
        for check in uploader.order("preflight", settings=table(omero_server, dataset=f"Dataset:{theirs}"))
    }
    assert not checks["dataset"]["fine"]


def test_a_dataset_of_a_colleague_in_which_one_may_write(uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    common = table(omero_server, group="common")
    login(uploader, common, user="bob")
    uploader.order("file", settings=common, folder=str(run))
    (theirs,) = [row["id"] for row in omero_server.objects() if row["kind"] == "Dataset"]
    login(uploader, common)
    url = uploader.order("file", settings={**common, "dataset": f"Dataset:{theirs}"}, folder=str(run))["url"]
    assert url.endswith("show=image-3|image-4"), "the same run, filed by another person"


def test_a_dataset_that_is_not_there(uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    login(uploader, table(omero_server))
    refused = refusal(uploader, table(omero_server, dataset="Dataset:99999"), run)
    assert "there is no Dataset:99999" in refused.what


def test_a_disk_that_is_full(uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    login(uploader, table(omero_server))
    omero_server.set_faults(disk_bytes=10_000)
    refused = refusal(uploader, table(omero_server), run)
    assert (refused.kind, "has no room" in refused.what) == ("LocstreamError", True)
    omero_server.set_faults()
    uploader.order("file", settings=table(omero_server), folder=str(run))


def test_what_is_damaged_on_the_way_is_tried_again(uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    login(uploader, table(omero_server))
    omero_server.set_faults(wrong_checksums=True)
    refused = refusal(uploader, table(omero_server), run)
    assert refused.kind == "UnreachableError"
    omero_server.set_faults()
    census = omero_server.census()
    assert not [line for line in census if line.startswith("Image ")]
    uploader.order("file", settings=table(omero_server), folder=str(run))
    assert len([line for line in omero_server.census() if line.startswith("Image ")]) == 2


def test_a_file_that_the_server_cannot_read(uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    login(uploader, table(omero_server))
    omero_server.set_faults(import_error="import-unknown-format")
    refused = refusal(uploader, table(omero_server), run)
    assert (refused.kind, "import-unknown-format" in refused.what) == ("LocstreamError", True)


def test_a_server_that_ends(uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    login(uploader, table(omero_server))
    omero_server.set_faults({"at": 30, "do": "die_before"})
    refused = refusal(uploader, table(omero_server), run)
    assert refused.kind == "UnreachableError"


def test_a_server_that_is_not_there(uploader: Uploader, run: Path) -> None:
    for host in ("tcp://127.0.0.1:9", "no.such.host.invalid"):
        with pytest.raises(RefusedError, match="cannot be reached") as refused:
            login(uploader, {"host": host})
        assert refused.value.kind == "UnreachableError"


def test_a_file_that_was_altered_is_not_sent(
    uploader: Uploader, omero_server: StandIn, run: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    stack = open_bundles(copy)[0].files.stack
    stack.write_bytes(stack.read_bytes()[:-5000])
    login(uploader, table(omero_server))
    before = omero_server.census()
    with pytest.raises(RefusedError, match="is not as it was when the run was finished"):
        uploader.order("file", settings=table(omero_server), folder=str(copy), check=True)
    assert omero_server.census() == before


# --- who the server is


def test_a_certificate_of_the_authority_is_accepted(
    uploader: Uploader, omero_ssl_server: StandIn, omero_certificates: Certificates, run: Path
) -> None:
    settings = table(omero_ssl_server, verify=str(omero_certificates.authority))
    login(uploader, settings)
    uploader.order("file", settings=settings, folder=str(run))
    checks = uploader.order("preflight", settings=settings)
    assert all(check["fine"] for check in checks)
    (said,) = [check["said"] for check in checks if check["name"] == "certificate"]
    assert "is who it should be" in said


def test_without_a_check_it_is_encrypted_and_preflight_says_so(
    uploader: Uploader, omero_ssl_server: StandIn, run: Path
) -> None:
    settings = table(omero_ssl_server)
    assert settings["host"].startswith("ssl://")
    login(uploader, settings)
    (said,) = [c["said"] for c in uploader.order("preflight", settings=settings) if c["name"] == "certificate"]
    assert "nobody checks" in said


@pytest.mark.parametrize("by", ["verify", "pinned"])
def test_another_certificate_is_refused_before_the_password_is_sent(
    by: str, uploader: Uploader, omero_ssl_server: StandIn, tmp_path: Path
) -> None:
    other = make_certificates(tmp_path / "other")
    settings = table(omero_ssl_server, **{by: str(other.authority)})
    with pytest.raises(RefusedError, match="certificate") as refused:
        login(uploader, settings)
    assert refused.value.kind == "LocstreamError", "trying again does not help"
    assert "nothing was sent" in refused.value.safe
    assert not [call for call in omero_ssl_server.calls() if call["call"].startswith("RouterI.createSession")]


def test_a_certificate_for_another_name_is_pinned_or_refused(
    uploader: Uploader, omero_python: Path, omero_certificates: Certificates, tmp_path: Path
) -> None:
    """`omero certificates` signs its own, for localhost: by its name it is another server, by itself it is this one."""
    own = Certificates(tmp_path / "own.pem", tmp_path / "own.pem", tmp_path / "own.key")
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=another-name"]
    subprocess.run([*new, "-keyout", own.key, "-out", own.certificate], check=True, capture_output=True, timeout=120)
    with StandIn(omero_python, tmp_path / "server", own) as server:
        login(uploader, table(server, pinned=str(own.certificate)))
        with pytest.raises(RefusedError, match="certificate"):
            login(uploader, table(server, verify=str(own.certificate)))
        with pytest.raises(RefusedError, match="certificate"):
            login(uploader, table(server, pinned=str(omero_certificates.certificate)))


def test_the_authorities_of_this_computer_do_not_know_it(uploader: Uploader, omero_ssl_server: StandIn) -> None:
    with pytest.raises(RefusedError, match="certificate"):
        login(uploader, table(omero_ssl_server, verify="system"))


def test_a_server_that_encrypts_nothing_is_refused(uploader: Uploader, omero_server: StandIn) -> None:
    """A name without a protocol means TLS: who answers without it gets no password."""
    settings = {"host": "127.0.0.1", "port": omero_server.ports["tcp"], "group": "lab"}
    with pytest.raises(RefusedError):
        login(uploader, settings)
    assert not [call for call in omero_server.calls() if call["call"].startswith("RouterI.createSession")]
