"""A connection to an OMERO server over Ice: encrypted, verified where the settings say so, kept alive."""

from __future__ import annotations

import logging
import warnings
import weakref
from contextlib import suppress
from typing import Any

import Ice
import omero
import omero.clients

from locstream.omero.faults import told
from locstream.omero.settings import OmeroSettings

AGENT = "locstream"
KEEP_ALIVE_S = 60
"""A tenth of the time after which a server ends an idle session."""
SILENCE_S = 1800
"""A server that gives no sign of life for so long in the middle of a call is taken for gone.
It computes the checksum of a whole stack within one call."""

logging.getLogger("omero").setLevel(logging.CRITICAL)  # what goes wrong is raised, and told by us


class Connection:
    """One session, open.

    Parameters
    ----------
    settings
        Which server, and how its certificate is verified.
    name, secret
        User and password, or twice the key of a session.
    ends
        Whether the session ends with the connection; else it stays, as it is the user's own.

    Raises
    ------
    LocstreamError
        The server cannot be reached, its certificate is not the expected one, or the login is refused.
    """

    def __init__(self, settings: OmeroSettings, name: str, secret: str, *, ends: bool = False) -> None:
        self.host = settings.server
        # recorded, and so not shown: it announces those of its own parts that are deprecated, past every filter
        with told(self.host), warnings.catch_warnings(record=True):
            self.client: Any = omero.client(host=settings.host, port=settings.ssl_port, pmap=properties(settings))
        self.client.setAgent(AGENT)
        self._end = weakref.finalize(self, _close, self.client)  # also where the program ends without closing
        try:
            with told(self.host):
                self.session: Any = self.client.createSession(name, secret)
                (self.session.closeOnDestroy if ends else self.session.detachOnDestroy)()
                self.client.enableKeepAlive(KEEP_ALIVE_S)
        except BaseException:
            self.close()
            raise

    @property
    def key(self) -> str:
        """The key of the session."""
        return str(self.client.getSessionId())

    def close(self) -> None:
        """End the connection."""
        self._end()


def _close(client: Any) -> None:
    with suppress(Ice.Exception, omero.ClientError):  # the server may be gone
        client.closeSession()


def properties(settings: OmeroSettings) -> dict[str, str]:
    """Return what Ice is told.

    Never less than was asked for: with a certificate to hold the server to, nothing else is accepted, and a host name
    without a protocol is reached through TLS only.
    """
    found = {
        "Ice.ACM.Client.Timeout": str(SILENCE_S),
        "Ice.ACM.Client.Close": "2",  # only where a call waits: an idle connection is the session's life
    }
    authority = settings.pinned or settings.verify
    if authority == "":
        return found
    found |= {"IceSSL.VerifyPeer": "2", "IceSSL.CheckCertName": "0" if settings.pinned else "1"}
    if authority == "system":
        return {**found, "IceSSL.UsePlatformCAs": "1"}
    return {**found, "IceSSL.CAs": str(authority)}
