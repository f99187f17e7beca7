"""Starts the stand-in server in a process of its own, tells it what shall go wrong, and asks what it holds.

Needs nothing of OMERO itself: only the path of the interpreter that has it (make_environment.py).
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from omero_wire.answering import PATIENCE_S, Answering

HERE = Path(__file__).resolve().parent
SYSTEM = {
    *("Experimenter", "ExperimenterGroup", "GroupExperimenterMap", "Session", "Node", "Event", "EventLog"),
    *("Format", "PixelsType", "DimensionOrder", "ChecksumAlgorithm", "JobStatus", "EventType", "RenderingModel"),
}
"""Kinds that a census leaves out: who there is and what was there before; other enumerations have a value only."""


@dataclass(frozen=True)
class Certificates:
    """A certificate for a server at 127.0.0.1 and the authority that signed it, in PEM."""

    authority: Path
    certificate: Path
    key: Path


class StandIn:
    """A running server.

    Attributes
    ----------
    host : str
        Its address.
    ports : dict
        Port by transport, "ssl" or "tcp".
    folder : Path
        Where its files, the list of calls and the faults lie.
    """

    def __init__(self, python: Path, folder: Path, certificates: Certificates | None = None, tcp: bool = True) -> None:
        self.folder = folder
        self._python = python
        self._certificates = certificates
        self._start({"ssl": 0} if not tcp else {"ssl": 0, "tcp": 0} if certificates else {"tcp": 0})

    def _start(self, ports: dict[str, int]) -> None:
        command = [str(self._python), str(HERE / "standin.py"), "--folder", str(self.folder)]
        for transport, port in ports.items():
            command += [f"--{transport}", str(port)]
        if self._certificates is not None:
            command += ["--certificate", str(self._certificates.certificate), "--key", str(self._certificates.key)]
        self._process = Answering(command)
        ready = self._process.answer()
        self.host: str = ready["host"]
        self.ports: dict[str, int] = ready["ports"]
        self.pid: int = ready["pid"]

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._process.close()

    def restart(self) -> None:
        """Start it again in the same folder, on the same ports: its objects are there, sessions and faults are not."""
        self.close()
        (self.folder / "faults.json").unlink(missing_ok=True)
        self._start(self.ports)

    @property
    def url(self) -> str:
        """What `omero.client(host=…)` takes: the encrypted port where there is one."""
        transport = "ssl" if "ssl" in self.ports else "tcp"
        return f"{transport}://{self.host}:{self.ports[transport]}"

    def set_faults(self, *faults: Mapping[str, Any], **conditions: Any) -> None:
        """Say what shall go wrong from the next call on; calls are counted from there, from 1. Nothing: all is well.

        Parameters
        ----------
        *faults
            The fields of `stand_in.faults.Fault`, such as ``{"at": 3, "do": "kill"}``.
        **conditions
            The other fields of `stand_in.faults.Conditions`, such as ``tables=False``.
        """
        text = json.dumps({"faults": list(faults), **conditions})
        part = self.folder / "faults.json.part"
        part.write_text(text)
        part.replace(self.folder / "faults.json")

    def calls(self) -> list[dict[str, Any]]:
        """Return every call that came in since the start, in order."""
        return [json.loads(line) for line in (self.folder / "calls.jsonl").read_text().splitlines()]

    def counted(self) -> list[str]:
        """Return the names of the calls that count for faults since they were last set."""
        calls = [call for call in self.calls() if call["n"] is not None]
        start = max((i for i, call in enumerate(calls) if call["n"] == 1), default=0)
        return [call["call"] for call in calls[start:]]

    def objects(self) -> list[dict[str, Any]]:
        """Return every row that is not the system's: kind, id, version, owner, group, values."""
        rows: list[dict[str, Any]] = self._ask("objects")
        return [row for row in rows if row["kind"] not in SYSTEM and set(row["values"]) != {"value"}]

    def census(self) -> list[str]:
        """Return one line for each object, sorted: what it is and holds, with names in place of ids.

        Two servers that hold the same have the same census, whatever was made, deleted and made again on the way.
        Times and the folders of the managed repository are left out.
        """
        rows = {(row["root"], row["id"]): row for row in self._ask("objects")}
        return sorted(_described(row, rows) for row in self.objects())

    def sessions(self) -> list[str]:
        """Return the keys of the sessions that are open."""
        keys: list[str] = self._ask("sessions")
        return keys

    def kill_sessions(self) -> None:
        """End every session now."""
        self._ask("kill_sessions")

    def reset(self) -> None:
        """Make it as it was at the start, under the same port."""
        self._ask("reset")

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.alive

    def _ask(self, command: str) -> Any:
        self._process.tell(command)
        return self._process.answer()


def make_certificates(folder: Path, address: str = "127.0.0.1") -> Certificates:
    """Make an authority and a certificate for an address, with openssl.

    Raises
    ------
    FileNotFoundError
        There is no openssl.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority, authority_key = folder / "ca.pem", folder / "ca.key"
    certificate, key, request = folder / "server.pem", folder / "server.key", folder / "server.csr"
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName=IP:{address},DNS:localhost\n")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    steps = [
        [*new, "-x509", "-days", "30", "-subj", "/CN=test authority", "-keyout", authority_key, "-out", authority],
        [*new, "-subj", f"/CN={address}", "-keyout", key, "-out", request],
        [
            *("openssl", "x509", "-req", "-days", "30", "-in", request, "-CA", authority, "-CAkey", authority_key),
            *("-CAcreateserial", "-extfile", extensions, "-out", certificate),
        ],
    ]
    for step in steps:
        subprocess.run([str(part) for part in step], check=True, capture_output=True, timeout=PATIENCE_S)
    return Certificates(authority, certificate, key)


def _described(row: dict[str, Any], rows: dict[tuple[str, int], dict[str, Any]]) -> str:
    shown = []
    for field, value in sorted(row["values"].items()):
        if field in LEFT_OUT or (row["kind"] == "OriginalFile" and field == "path" and row["values"].get("repo")):
            continue
        shown.append(f"{field}={_shown(value, rows)}")
    return f"{row['kind']} " + ", ".join(shown)


def _shown(value: Any, rows: dict[tuple[str, int], dict[str, Any]]) -> str:
    if isinstance(value, dict):
        return f"<{_named(rows.get((value['root'], value['id'])), rows)}>"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(v, rows) for v in value) + "]"
    if isinstance(value, str):
        return REFERENCE.sub(lambda m: f"{m[1]}:<{_named(rows.get((m[1], int(m[2]))), rows)}>", value)
    return repr(value)


def _named(row: dict[str, Any] | None, rows: dict[tuple[str, int], dict[str, Any]]) -> str:
    """Return a name that stands for a row wherever it is referred to."""
    if row is None:
        return "nothing"
    values = row["values"]
    for field in ("name", "value", "omeName"):
        if field in values and isinstance(values[field], str):
            return f"{row['kind']} {values[field]}"
    inner = [_named(rows.get((v["root"], v["id"])), rows) for v in values.values() if isinstance(v, dict)]
    plain = [_shown(values[f], rows) for f in ("ns", "mapValue") if f in values]
    return " ".join([row["kind"], *plain, *inner])


LEFT_OUT = {"submitted", "scheduledFor", "started", "finished", "mtime", "templatePrefix", "repo"}
REFERENCE = re.compile(r"\b(Image|Dataset|Project):(\d+)")
