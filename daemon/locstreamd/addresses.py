"""Addresses that a configuration names to listen on: of this computer alone, or of its network."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple, Self

FORM = re.compile(r"tcp://(?P<host>\*|[0-9.]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
HIGHEST_PORT = 65_535


class Address(NamedTuple):
    """A tcp address to listen on.

    Parameters
    ----------
    host
        An address of this computer, or ``*`` for all of them (IPv4); IPv6 in square brackets.
    port
        1 … 65535.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that a text stands for, such as ``tcp://127.0.0.1:5577`` or ``tcp://*:5577``.

        Raises
        ------
        ValueError
            It stands for none; a sentence that quotes it.
        """
        found = FORM.fullmatch(text)
        try:
            if found is None or not 0 < int(found["port"]) <= HIGHEST_PORT:
                raise ValueError
            address = cls(found["host"], int(found["port"]))
            if address.plain_host:
                ipaddress.ip_address(address.plain_host)
        except ValueError as error:
            raise ValueError(
                f"{text!r} is not an address to listen on: tcp://127.0.0.1:5577 is for this computer alone, "
                "tcp://*:5577 for its network"
            ) from error
        return address

    @property
    def plain_host(self) -> str:
        """The host as the operating system wants it: without brackets, "" for all addresses (IPv4)."""
        return "" if self.host == "*" else self.host.strip("[]")

    @property
    def loopback(self) -> bool:
        """Whether only this computer can connect."""
        return self.host != "*" and ipaddress.ip_address(self.plain_host).is_loopback

    @property
    def endpoint(self) -> str:
        """The same as libzmq wants it."""
        return f"tcp://{self.host}:{self.port}"

    def after(self, ports: int) -> Address:
        """Return the address so many ports further on.

        Raises
        ------
        ValueError
            There is no such port.
        """
        if self.port + ports > HIGHEST_PORT:
            raise ValueError(f"{self.endpoint} leaves no room for {ports} ports behind it")
        return self._replace(port=self.port + ports)
