"""Tells OMERO's errors apart: later may help, a new session helps at once, or somebody has to do something."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import Glacier2
import Ice
import omero

from locstream.errors import LocstreamError
from locstream.omero.trouble import QUEUED, SessionLostError, SessionRefusedError
from locstream.upload.filer import UnreachableError

_FULL = re.compile(r"no space left|quota|disk full", re.IGNORECASE)
_CERTIFICATE = re.compile(r"certificate|verify|self-signed|CA |hostname|name mismatch", re.IGNORECASE)

_GONE = (
    Ice.ConnectionLostException,
    Ice.CloseConnectionException,
    Ice.ForcedCloseConnectionException,
    Ice.ConnectionTimeoutException,
    Ice.ObjectNotExistException,
    Ice.CommunicatorDestroyedException,
    Ice.ObjectAdapterDeactivatedException,
    Glacier2.SessionNotExistException,
    omero.RemovedSessionException,
    omero.SessionTimeoutException,
    omero.ShutdownInProgress,
)
_LOGIN = (
    Glacier2.PermissionDeniedException,
    omero.AuthenticationException,
    omero.ExpiredCredentialException,
)
_PLAIN: dict[type[Exception], str] = {
    Ice.DNSException: "no computer of that name is known",
    Ice.ConnectionRefusedException: "nothing listens on that port",
    Ice.ConnectTimeoutException: "it does not answer",
    Ice.ConnectionLostException: "the connection broke",
    Ice.ConnectionTimeoutException: "the connection fell silent",
    Ice.ObjectNotExistException: "the server has ended it",
}
"""Words for what Ice says by the name of its exception only."""
_LATER = (
    omero.ConcurrencyException,
    omero.ChecksumValidationException,
    Glacier2.CannotCreateSessionException,
)


T = TypeVar("T", bound=type)


@contextmanager
def told(server: str) -> Iterator[None]:
    """Turn what Ice and OMERO raise into errors of ours.

    Parameters
    ----------
    server
        Name of the server, for the sentence.
    """
    try:
        yield
    except (Ice.Exception, omero.ClientError) as error:
        raise explained(error, server) from error


def tells(cls: T) -> T:
    """Have every public method of a class, whose objects have a `host`, raise errors of ours."""
    for name, method in list(vars(cls).items()):
        if callable(method) and not name.startswith("_"):
            setattr(cls, name, _telling(method))
    return cls


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *arguments: Any) -> Any:
        with told(self.host):
            return method(self, *arguments)

    return call


def explained(error: Exception, server: str) -> LocstreamError:
    """Return the error of ours for one of Ice or OMERO.

    Parameters
    ----------
    error
        What was raised.
    server
        Name of the server.
    """
    said = _said(error)
    if isinstance(error, _GONE):
        return SessionLostError(f"the session on {server} was lost: {said}", safe=QUEUED)
    if isinstance(error, _LOGIN):
        return SessionRefusedError(
            f"{server} refuses the login: {said}",
            safe=QUEUED,
            todo="`locstream omero login`, then `locstream upload retry`",
        )
    if isinstance(error, Ice.SecurityException) or (isinstance(error, Ice.ProtocolException) and _is_tls(said)):
        return _of_certificate(server, said)
    if isinstance(error, _LATER):
        return UnreachableError(f"{server} asks to try again later: {said}", safe=QUEUED)
    if isinstance(error, omero.SecurityViolation):
        return LocstreamError(
            f"you may not do this on {server}: {said}",
            safe=QUEUED,
            todo="ask the owner of the group for the right, or choose another group or dataset in upload.toml",
        )
    if _FULL.search(said):
        return LocstreamError(
            f"{server} has no room: {said}",
            safe=QUEUED,
            todo="ask its administrator for room, then `locstream upload retry`",
        )
    if isinstance(error, omero.ServerError):
        return LocstreamError(
            f"{server} failed: {said}",
            safe=QUEUED,
            todo="show this to its administrator, then `locstream upload retry`",
        )
    if isinstance(error, Ice.LocalException | omero.ClientError):
        return UnreachableError(
            f"{server} cannot be reached: {said}", safe=QUEUED, todo="is the name right, and is it up?"
        )
    return LocstreamError(f"{server} failed: {said}", safe=QUEUED)


def _of_certificate(server: str, said: str) -> LocstreamError:
    if _CERTIFICATE.search(said):
        return LocstreamError(
            f"the certificate of {server} is not the one that is expected: {said}",
            safe=f"nothing was sent; {QUEUED}",
            todo="`locstream omero certificate` shows what it presents; ask its administrator whether that is right",
        )
    return LocstreamError(
        f"{server} and this computer find no common encryption: {said}",
        safe=f"nothing was sent; {QUEUED}",
        todo="ask the administrator for a certificate (`omero certificates`); servers before 5.6 may have none",
    )


def _is_tls(said: str) -> bool:
    return "ssl" in said.lower() or "tls" in said.lower()


def _said(error: Exception) -> str:
    """Return what an error says, in one line."""
    for name in ("reason", "message", "error"):
        text = getattr(error, name, None)
        if isinstance(text, str) and text.strip():
            lines = text.strip().splitlines()
            return f"{lines[0].strip()} ({type(error).__name__})"
    return _PLAIN.get(type(error), type(error).__name__)
