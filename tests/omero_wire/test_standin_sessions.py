"""Logging in, joining, groups, ends of sessions, and who the server is: as Glacier2 and OMERO have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_wire.probe import Probe, WireError
from omero_wire.stand_in_process import Certificates, StandIn, make_certificates

pytestmark = pytest.mark.peer
VERIFIED = {"IceSSL.VerifyPeer": "2", "IceSSL.CheckCertName": "1", "IceSSL.Ciphers": "HIGH"}


@pytest.mark.parametrize(("user", "password"), [("ada", "wrong"), ("nobody", "secret"), ("a-key", "a-key")])
def test_a_wrong_password_is_refused_as_glacier2_does(
    probe: Probe, omero_server: StandIn, user: str, password: str
) -> None:
    with pytest.raises(WireError, match="Password check failed") as caught:
        probe("login", "x", omero_server.url, user, password)
    assert caught.value.name == "PermissionDeniedException"
    assert not omero_server.sessions()


def test_a_key_joins_the_same_session(ada: Probe, omero_server: StandIn) -> None:
    (key,) = omero_server.sessions()
    ada("login", "again", omero_server.url, key, key)
    assert ada("event_context", "again") == ada("event_context", "ada")
    assert ada("event_context", "again")["uuid"] == key
    ada("logout", "again")
    assert ada("event_context", "ada")["user"] == "ada"


def test_a_killed_session_ends_for_everybody(ada: Probe, omero_server: StandIn) -> None:
    (key,) = omero_server.sessions()
    ada("login", "again", omero_server.url, key, key)
    ada("logout", "again", kill=True)
    with pytest.raises(WireError) as caught:
        ada("event_context", "ada")
    assert caught.value.name == "ObjectNotExistException"
    with pytest.raises(WireError) as caught:
        ada("login", "late", omero_server.url, key, key)
    assert caught.value.name == "PermissionDeniedException"


def test_a_detached_session_outlives_its_client(ada: Probe, omero_server: StandIn) -> None:
    (key,) = omero_server.sessions()
    ada("logout", "ada")
    assert omero_server.sessions() == [key]
    ada("login", "back", omero_server.url, key, key)
    assert ada("event_context", "back")["uuid"] == key


def test_an_idle_session_is_over_at_the_next_call(ada: Probe, omero_server: StandIn) -> None:
    (key,) = omero_server.sessions()
    omero_server.set_faults(idle_timeout_s=0.0)
    with pytest.raises(WireError, match="expired due to inactivity") as caught:
        ada("event_context", "ada")
    assert caught.value.name == "SessionTimeoutException"
    omero_server.set_faults()
    with pytest.raises(WireError) as caught:
        ada("login", "late", omero_server.url, key, key)
    assert caught.value.name == "PermissionDeniedException"


def test_a_token_is_a_session_of_its_own(ada: Probe, omero_server: StandIn) -> None:
    made = ada("call", "ada", "getSessionService", "createUserSession", 0, 600_000, "annotators")
    (token,) = set(omero_server.sessions()) - {ada("event_context", "ada")["uuid"]}
    assert made["kind"] == "Session"
    ada("logout", "ada", kill=True)
    ada("login", "later", omero_server.url, token, token)
    assert ada("event_context", "later") == {"user": "ada", "group": "annotators", "uuid": token}


def test_a_token_may_not_be_idle_for_longer_than_the_server_allows(ada: Probe) -> None:
    with pytest.raises(WireError, match="max is 6000000"):
        ada("call", "ada", "getSessionService", "createUserSession", 0, 6_000_001, "lab")


def test_groups_by_login_by_call_and_by_session(probe: Probe, omero_server: StandIn) -> None:
    probe("login", "a", omero_server.url, "ada", "secret", group="annotators")
    assert probe("event_context", "a")["group"] == "annotators"
    assert probe("event_context", "a", group="lab")["group"] == "lab"
    probe("login", "b", omero_server.url, "ada", "secret")
    lab = probe("call", "b", "getAdminService", "lookupGroup", "lab")["id"]
    common = probe("call", "b", "getAdminService", "lookupGroup", "common")["id"]
    assert probe("change_group", "b", common) == lab
    assert probe("event_context", "b")["group"] == "common"


def test_a_group_one_is_not_in_is_refused_at_each_call(probe: Probe, omero_server: StandIn) -> None:
    probe("login", "a", omero_server.url, "ada", "secret", group="elsewhere")
    with pytest.raises(WireError, match=r"User \d+ is not a member of group \d+ and cannot login") as caught:
        probe("event_context", "a")
    assert caught.value.name == "SecurityViolation"


def test_a_group_that_is_not_there_is_refused_at_login(probe: Probe, omero_server: StandIn) -> None:
    with pytest.raises(WireError, match="No such group: nowhere") as caught:
        probe("login", "a", omero_server.url, "ada", "secret", group="nowhere")
    assert caught.value.name == "WrappedCreateSessionException"


def test_ssl_with_its_authority(probe: Probe, omero_ssl_server: StandIn, omero_certificates: Certificates) -> None:
    assert set(omero_ssl_server.ports) == {"ssl"}
    verified = {**VERIFIED, "IceSSL.CAs": str(omero_certificates.authority)}
    probe("login", "a", omero_ssl_server.url, "ada", "secret", **verified)
    assert probe("event_context", "a")["user"] == "ada"
    probe("login", "unverified", omero_ssl_server.url, "ada", "secret")  # what omero-py does where nothing is said


def test_ssl_with_another_authority_is_refused(probe: Probe, omero_ssl_server: StandIn, tmp_path: Path) -> None:
    other = make_certificates(tmp_path / "other")
    with pytest.raises(WireError) as caught:
        probe("login", "a", omero_ssl_server.url, "ada", "secret", **VERIFIED, **{"IceSSL.CAs": str(other.authority)})
    assert caught.value.name == "SecurityException"


def test_ssl_under_another_name_is_refused(probe: Probe, omero_python: Path, tmp_path: Path) -> None:
    other = make_certificates(tmp_path / "other", address="127.0.0.9")
    with StandIn(omero_python, tmp_path / "server", other, tcp=False) as server, pytest.raises(WireError) as caught:
        probe("login", "a", server.url, "ada", "secret", **VERIFIED, **{"IceSSL.CAs": str(other.authority)})
    assert caught.value.name == "SecurityException"


def test_a_server_with_both_names_its_open_door(probe: Probe, omero_python: Path, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "both")
    with StandIn(omero_python, tmp_path / "server", certificates) as server:
        probe("login", "a", server.url, "ada", "secret")
        door = probe("call", "a", "getConfigService", "getConfigValue", "omero.router.insecure")
    assert door == f"OMERO.Glacier2/router:tcp -p {server.ports['tcp']} -h @omero.host@"
