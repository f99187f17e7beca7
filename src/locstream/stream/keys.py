"""Keys of CURVE, and who is admitted with which role: private files in a private folder.

=======================  =========================================================================
``server.json``          the key pair of this computer's daemon
``admitted.json``        public key, role and date of everyone who may connect, by name
``NAME.key.json``        what `create_client` made for NAME: to be carried to that computer, then removed; or what
                         `create_own` made for this computer, which is known to another as NAME
=======================  =========================================================================

The folder has mode 0700 and the files 0600. A public key is Z85 text of 40 characters.
"""

from __future__ import annotations

import enum
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import zmq

from locstream.errors import LocstreamError
from locstream.stream.private_folder import make_private
from locstream.stream.wire import MALFORMED

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PUBLIC_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
MAX_FILE_BYTES = 4_000_000
T = TypeVar("T")


class Role(enum.StrEnum):
    """What somebody who is admitted may do."""

    VIEW = "view"
    """Watch: the stream, its history, the status."""
    WORK = "work"
    """Fit frames: the work socket, and nothing else."""
    CONTROL = "control"
    """Start, stop and abort, and watch."""


class KeyPair(msgspec.Struct, frozen=True):
    """A public key and the secret that belongs to it, Z85."""

    public: str
    secret: str

    def __repr__(self) -> str:
        """Name the public key alone: what is printed or logged is no secret."""
        return f"KeyPair(public={self.public!r})"


class ClientKeys(msgspec.Struct, frozen=True):
    """What a client needs to connect: its own key pair, and by which key it knows the server."""

    name: str
    pair: KeyPair
    server_public: str


class Admission(msgspec.Struct, frozen=True):
    """Somebody who may connect."""

    public: str
    role: Role
    since_s: float
    """When, seconds since the epoch (UTC)."""


class Keyring:
    """The keys of this computer.

    Parameters
    ----------
    folder
        Where they are; made where it is missing. None: ``LOCSTREAM_KEYS_DIR``, else ``XDG_CONFIG_HOME/locstream/keys``,
        else ``~/.config/locstream/keys``.

    Raises
    ------
    LocstreamError
        The folder belongs to somebody else, is open to others, or cannot be made.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or _default_folder()
        make_private(self.folder, "keys", "LOCSTREAM_KEYS_DIR", besides="; if others could read it, make new keys")

    @property
    def has_server(self) -> bool:
        """Whether the server's key pair is there already."""
        return (self.folder / "server.json").exists()

    def server(self) -> KeyPair:
        """Return the server's key pair, made at the first call."""
        path = self.folder / "server.json"
        with _alone(self.folder):
            if not path.exists():
                _replace(path, _new_pair())
        return _read(path, KeyPair)

    def admitted(self) -> Mapping[str, Admission]:
        """Return who may connect, by name."""
        path = self.folder / "admitted.json"
        return _read(path, dict[str, Admission]) if path.exists() else {}

    def create_client(self, name: str, role: Role) -> Path:
        """Make a key pair for somebody, admit it, and return the file that is to be carried to them.

        Raises
        ------
        LocstreamError
            The name is taken, or is none; there are keys of that name already.
        """
        _check_name(name)
        if name in self.admitted():
            raise LocstreamError(
                f"{name!r} is admitted already", todo=f"`locstream keys revoke {name}` first, or choose another name"
            )
        keys = ClientKeys(name, _new_pair(), self.server().public)
        path = self._write(keys)
        self.admit(name, keys.pair.public, role)
        return path

    def create_own(self, name: str, server_public: str) -> Path:
        """Make a key pair for this computer, to connect to another with, and return its file.

        There, somebody must `admit` the public key under the same name.

        Raises
        ------
        LocstreamError
            The name or the server's key is none, or there are keys of that name already.
        """
        _check_name(name)
        _check_public(server_public)
        return self._write(ClientKeys(name, _new_pair(), server_public))

    def admit(self, name: str, public: str, role: Role) -> None:
        """Admit a public key under a name; one who is admitted with the same key gets the new role.

        Raises
        ------
        LocstreamError
            The name or the key is none, or one of them is taken.
        """
        _check_name(name)
        _check_public(public)
        with _alone(self.folder):
            admitted = dict(self.admitted())
            for other, admission in admitted.items():
                if (other == name) != (admission.public == public):
                    raise LocstreamError(
                        f"{other!r} is admitted with {'this' if other != name else 'another'} key",
                        todo=f"`locstream keys revoke {other}` first",
                    )
            admitted[name] = Admission(public, role, time.time())
            _replace(self.folder / "admitted.json", admitted)

    def revoke(self, name: str) -> None:
        """Admit somebody no longer.

        Raises
        ------
        LocstreamError
            Nobody of that name is admitted.
        """
        with _alone(self.folder):
            admitted = dict(self.admitted())
            revoked = admitted.pop(name, None)
            if revoked is None:
                raise LocstreamError(f"nobody named {name!r} is admitted ({', '.join(admitted) or 'nobody is'})")
            _replace(self.folder / "admitted.json", admitted)
        if self._public_of(name) == revoked.public:  # else the file is this computer's own, for another server
            self._path_of(name).unlink()

    def _path_of(self, name: str) -> Path:
        return self.folder / f"{name}.key.json"

    def _public_of(self, name: str) -> str | None:
        """Return the public key in the file of that name, None where there is none that can be read."""
        try:
            return read_client_keys(self._path_of(name)).pair.public
        except LocstreamError:
            return None

    def _write(self, keys: ClientKeys) -> Path:
        path = self._path_of(keys.name)
        try:
            _write_new(path, keys)
        except FileExistsError as error:
            raise LocstreamError(
                f"{path} is there already",
                safe="nobody was admitted, and no key changed",
                todo="use it, or choose another name; remove it only if nobody connects with it any more",
            ) from error
        return path


def read_client_keys(path: Path) -> ClientKeys:
    """Read what `Keyring.create_client` has made.

    Raises
    ------
    LocstreamError
        The file is missing, is none, or is open to others.
    """
    return _read(path, ClientKeys)


def secure_client(socket: zmq.Socket[bytes], keys: ClientKeys) -> None:
    """Have a socket connect with these keys, to that server and no other. To be called before it connects."""
    socket.curve_serverkey = keys.server_public.encode("ascii")
    socket.curve_publickey = keys.pair.public.encode("ascii")
    socket.curve_secretkey = keys.pair.secret.encode("ascii")


def secure_server(socket: zmq.Socket[bytes], pair: KeyPair, domain: str) -> None:
    """Have a socket admit whom the handler of `domain` admits. To be called before it binds."""
    socket.curve_server = True
    socket.curve_secretkey = pair.secret.encode("ascii")
    socket.zap_domain = domain.encode("ascii")


def _default_folder() -> Path:
    if given := os.environ.get("LOCSTREAM_KEYS_DIR"):
        return Path(given)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "locstream" / "keys"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process changes the keys in a folder, and keep others waiting."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _new_pair() -> KeyPair:
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode("ascii"), secret.decode("ascii"))


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise LocstreamError(f"{name!r} is no name for a key; use letters, digits and . _ -")


def _check_public(public: str) -> None:
    if not PUBLIC_KEY.fullmatch(public):
        raise LocstreamError(f"{public!r} is not a public key: 40 characters of Z85", todo="copy it whole")


def _write_new(path: Path, content: object) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content)))


def _replace(path: Path, content: object) -> None:
    draft = path.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    _write_new(draft, content)
    draft.replace(path)


def _read(path: Path, kind: type[T]) -> T:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise LocstreamError(f"the keys in {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise LocstreamError(
            f"the keys in {path} are open to others (mode {mode:04o})",
            todo=f"`chmod 600 {path}`; if others could read it, make new keys",
        )
    try:
        return msgspec.json.decode(content, type=kind)
    except MALFORMED as error:
        raise LocstreamError(f"{path} is no file of keys: {error}") from error
