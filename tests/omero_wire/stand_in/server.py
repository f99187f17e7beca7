"""The server: one communicator, one adapter, one store behind one lock."""

import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import Glacier2
import Ice
import omero
import omero.columns
import omero.ObjectFactoryRegistrar
import omero.rtypes

from .accounts import set_up
from .disk import Disk
from .faults import Calls
from .journal import clear_journal, open_journal
from .model import kinds
from .router import RouterI
from .sessions import Session
from .store import Ref, Store

MESSAGE_KB = 250_000
"""Largest message, as OMERO's (`Ice.MessageSizeMax`)."""
THREADS = 8


@dataclass(frozen=True)
class Certificate:
    """What the server shows of itself: a PKCS#12 file, or certificate and key in PEM."""

    file: Path
    key: Path | None = None
    password: str = ""


class Server:
    """Answers until `close`. Not one of its methods is called from another process."""

    def __init__(
        self, folder: Path, host: str, ssl: int | None, tcp: int | None, certificate: Certificate | None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.uuid = _uuid(folder)
        self.lock = threading.RLock()
        self.folder = folder
        self.sessions: dict[str, Session] = {}
        self.clients: dict[str, Session] = {}
        self.calls = Calls(folder)
        self._empty()
        self.communicator = _communicator(certificate)
        endpoints = []
        if ssl is not None:
            endpoints.append(f"ssl -h {host} -p {ssl}")
        if tcp is not None:
            endpoints.append(f"tcp -h {host} -p {tcp}")
        self.adapter = self.communicator.createObjectAdapterWithEndpoints("OMERO", ":".join(endpoints))
        router = self.adapter.add(RouterI(self), Ice.Identity("router", "OMERO.Glacier2"))
        self.router = Glacier2.RouterPrx.uncheckedCast(router)
        self.adapter.activate()

    def reset(self) -> None:
        """Become what it was at the start: no sessions, no objects, no files, no faults, no calls."""
        with self.lock:
            for session in list(self.sessions.values()):
                session.close()
            self.disk.clear()
            self.calls.clear()
            clear_journal(self.folder)
            self._empty()

    def _empty(self) -> None:
        self.disk = Disk(self.folder)
        self.store = Store()
        self.accounts = set_up(self.store)
        self._node = self.store.insert("Node", {"uuid": self.uuid, "conn": "stand-in", "up": 0})
        open_journal(self.folder, self.store)
        self._written = 0

    def ports(self) -> dict[str, int]:
        """Return the port of each transport."""
        found = {}
        for endpoint in self.adapter.getEndpoints():
            info = endpoint.getInfo()
            found["ssl" if info.secure() else "tcp"] = info.port
        return found

    def configuration(self) -> dict[str, str]:
        """Return what IConfig answers."""
        config = {"omero.version": "5.6.12", "omero.sessions.timeout": "600000"}
        ports = self.ports()
        if "tcp" in ports and "ssl" in ports:
            config["omero.router.insecure"] = f"OMERO.Glacier2/router:tcp -p {ports['tcp']} -h @omero.host@"
        return config

    def open_session(self, user: int, group: int, idle_timeout_s: float) -> Session:
        """Make a session that is not joined yet."""
        session = Session(self, user, group, idle_timeout_s)
        task = self.store.find("EventType", value="User")
        assert task is not None
        values = {
            "uuid": session.uuid,
            "node": self._node.ref,
            "owner": Ref("Experimenter", user),
            "timeToIdle": int(idle_timeout_s * 1000),
            "timeToLive": 0,
            "started": self.now(),
            "defaultEventType": "User",
        }
        session.row = self.store.insert("Session", values).id
        self.sessions[session.uuid] = session
        return session

    def event(self, session: Session, group: int) -> int:
        """Note that somebody changes something; return the id of the event."""
        kind = self.store.find("EventType", value="User")
        assert kind is not None
        values = {
            "time": self.now(),
            "experimenter": Ref("Experimenter", session.user),
            "experimenterGroup": Ref("ExperimenterGroup", group),
            "type": kind.ref,
            "session": Ref("Session", session.row),
        }
        return self.store.insert("Event", values).id

    def damaged(self, data: bytes) -> bytes:
        """Return what arrives of a block: with one byte changed at the write that the faults name."""
        self._written += 1
        if data and self.calls.conditions.corrupt_write == self._written:
            return bytes([data[0] ^ 0xFF]) + data[1:]
        return data

    @staticmethod
    def now() -> int:
        """Return the time in ms since 1970."""
        return int(time.time() * 1000)

    def close(self) -> None:
        """End every session and the communicator."""
        for session in list(self.sessions.values()):
            session.close()
        self.communicator.destroy()

    def getSession(self, blocking: bool = True) -> Any:
        """Return no session: what the object factories of omero-py ask a client for."""
        return None


def _uuid(folder: Path) -> str:
    """Return the name of the database, the same whenever the server starts in a folder."""
    path = folder / "uuid"
    if not path.exists():
        path.write_text(str(uuid.uuid4()))
    return path.read_text()


def _communicator(certificate: Certificate | None) -> Any:
    kinds()  # before the factories make one of each class: it silences those that complain
    properties = Ice.createProperties()
    properties.setProperty("Ice.MessageSizeMax", str(MESSAGE_KB))
    properties.setProperty("Ice.ThreadPool.Server.Size", str(THREADS))
    properties.setProperty("Ice.ThreadPool.Server.SizeMax", str(THREADS))
    properties.setProperty("Ice.Warn.Connections", "0")
    properties.setProperty("Ice.Warn.Dispatch", "0")
    if certificate is not None:
        properties.setProperty("Ice.Plugin.IceSSL", "IceSSL:createIceSSL")
        properties.setProperty("IceSSL.CertFile", str(certificate.file))
        properties.setProperty("IceSSL.VerifyPeer", "0")
        if certificate.key is not None:
            properties.setProperty("IceSSL.KeyFile", str(certificate.key))
        if certificate.password:
            properties.setProperty("IceSSL.Password", certificate.password)
    data = Ice.InitializationData()
    data.properties = properties
    communicator = Ice.initialize(data)
    omero.ObjectFactoryRegistrar.registerObjectFactory(communicator, None)
    for factory in [*omero.rtypes.ObjectFactories.values(), *omero.columns.ObjectFactories.values()]:
        factory.register(communicator)
    return communicator
