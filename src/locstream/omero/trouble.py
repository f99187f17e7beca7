"""Errors of a session, by which the uploader decides what to do next."""

from __future__ import annotations

from locstream.errors import LocstreamError
from locstream.upload.filer import UnreachableError

QUEUED = "the run stays queued, and its files as they are"
"""What is safe, whatever goes wrong on the way."""


class SessionLostError(UnreachableError):
    """The session or its connection is gone; with a new one the work goes on."""


class SessionRefusedError(LocstreamError):
    """The server does not know the session key, the name or the password."""
