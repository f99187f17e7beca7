"""The table ``[omero]`` of the upload settings: which server, where in it, and what goes there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from locstream.settings import Settings

PLACES = ("name", "date", "year", "title", "sample", "study", "instrument", "uuid")
"""What a template may hold, in braces."""
OWN = ("{name}", "{uuid}")
"""A dataset whose template has one of these is a run's own; others are shared by runs."""
EXISTING = re.compile(r"Dataset:([1-9]\d*)")
_PLACE = re.compile(r"{([^{}]*)}")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
_URL = re.compile(r"(?P<protocol>[a-z]+)://(?P<name>[^/:]+|\[[^]]+])(?::(?P<port>\d+))?(?P<path>/\S*)?")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class OmeroSettings(Settings):
    """Where in OMERO finished runs go."""

    host: Text
    """Name of the OMERO server, or an address such as wss://omero.example.org/omero-ws where only that port is open."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of the server; 4064 where it is not given, 443 for wss."""
    user: str = ""
    """Your name there; only to choose among several sessions and to log in."""
    group: str = ""
    """Group in which runs are filed; "" for your default group."""
    project: Text = "SMLM"
    """Project; found by its name among yours, or made. A template: {date}, {year}, {study}, {instrument} …"""
    dataset: Text = "{name}"
    """Dataset in it, found or made: `{name}` gives each run its own, `{date} {sample}` puts a day's runs together.
    `Dataset:12` is one that exists, also a colleague's, where you may link to it; the project is then not looked at."""
    web: str = ""
    """Address of OMERO.web, such as https://omero.example.org; "" takes the server's name."""
    tags: tuple[Text, ...] = ()
    """Tags that both images and the dataset get; found by their text, or made."""
    raw: bool = True
    """Import the raw stack. Without it the reconstruction is filed with the tables."""
    without: tuple[Text, ...] = ()
    """Files that stay here: patterns such as `*_truth.hdf5`. The localizations and the crate always go."""
    table: bool = False
    """Also an OMERO.table, in which localizations can be queried on the server without downloading them."""
    verify: Literal["", "system"] | Path = ""
    """What the server's certificate is held to: a file with the CA's certificate, "system" for the authorities that
    this computer trusts, "" for none: the connection is then encrypted, and nobody knows with whom."""
    pinned: Path | None = None
    """The server's own, self-signed certificate, as `locstream omero certificate` saves it; whatever name it is for."""

    @field_validator("host")
    @classmethod
    def _is_secure(cls, host: str) -> str:
        if "://" not in host:
            return host
        found = _URL.fullmatch(host)
        if found is None or found["protocol"] not in ("ssl", "wss", "tcp", "ws"):
            raise ValueError(f"{host!r} is no address of a server: a name, ssl://… or wss://…")
        if found["protocol"] in ("tcp", "ws") and found["name"] not in _LOOPBACK:
            raise ValueError(f"{host} is not encrypted, which is for this computer only; use {_secure(host)}")
        return host

    @field_validator("project", "dataset")
    @classmethod
    def _is_template(cls, template: str) -> str:
        unknown = [place for place in _PLACE.findall(template) if place not in PLACES]
        if unknown or "{" in _PLACE.sub("", template) or "}" in _PLACE.sub("", template):
            raise ValueError(f"{template!r} may hold {', '.join(f'{{{place}}}' for place in PLACES)} and nothing else")
        return template

    @model_validator(mode="after")
    def _one_way_to_verify(self) -> Self:
        if self.pinned is not None and self.verify != "":
            raise ValueError("either `pinned` or `verify`, not both")
        return self

    @property
    def server(self) -> str:
        """The server's name alone."""
        found = _URL.fullmatch(self.host)
        return found["name"].strip("[]") if found is not None else self.host

    @property
    def ssl_port(self) -> int:
        """The port that the connection goes to."""
        found = _URL.fullmatch(self.host)
        if found is not None and found["port"]:
            return int(found["port"])
        protocol = found["protocol"] if found is not None else "ssl"
        return self.port or {"ssl": 4064, "tcp": 4063, "ws": 80, "wss": 443}[protocol]

    @property
    def encrypted(self) -> bool:
        """False only for this computer itself."""
        return not self.host.startswith(("tcp://", "ws://"))

    @property
    def verified(self) -> bool:
        """Whether the server must prove who it is."""
        return self.pinned is not None or self.verify != ""

    @property
    def existing_dataset(self) -> int | None:
        """The number of the dataset that was named by it."""
        found = EXISTING.fullmatch(self.dataset)
        return int(found[1]) if found is not None else None

    @property
    def own_dataset(self) -> bool:
        """Whether each run has a dataset of its own."""
        return any(place in self.dataset for place in OWN)

    @property
    def web_address(self) -> str:
        """Address of OMERO.web without a slash at its end."""
        return (self.web or f"https://{self.server}").rstrip("/")


def _secure(host: str) -> str:
    return host.replace("tcp://", "ssl://").replace("ws://", "wss://")
