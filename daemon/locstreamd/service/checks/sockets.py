"""Where programs connect: the private folder of sockets, and the ports that a configuration names."""

from __future__ import annotations

import errno
import re
import socket

from locstream.errors import LocstreamError
from locstream.stream.runtime import Connection, running, runtime_folder
from locstreamd.service.checks.finding import Finding, ok, problem, refused

NAME_PORT = "port"
ADDRESS = re.compile(r"(?:tcp://)?\[?(?P<host>[^\]]+)\]?:(?P<port>\d+)")


def check_sockets() -> tuple[Finding, list[Connection]]:
    """See that the folder of the sockets belongs to this user alone; return also what runs there."""
    name = "sockets"
    try:
        folder, here = runtime_folder(), running()
    except LocstreamError as error:
        return refused(name, error), []
    runs = f"; running now: {', '.join(connection.name for connection in here)}" if here else ""
    return ok(name, f"{folder} is open to this user only{runs}"), here


def check_ports(addresses: dict[str, str]) -> list[Finding]:
    """See that the ports that a configuration listens on are free.

    Parameters
    ----------
    addresses
        By the setting that names them, such as ``{"stream.listen": "tcp://127.0.0.1:5577"}``; "" is off.
    """
    named = {setting: address for setting, address in addresses.items() if address}
    if not named:
        return [ok(NAME_PORT, "none is listened on; programs of this user connect by the sockets above")]
    return [check_port(setting, address) for setting, address in named.items()]


def check_port(setting: str, address: str) -> Finding:
    """See that one port can be listened on."""
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        return problem(NAME_PORT, f"{setting} = {address!r} is no address", "give it as HOST:PORT")
    family = socket.AF_INET6 if ":" in parts["host"] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
            probe.bind(("" if parts["host"] == "*" else parts["host"], int(parts["port"])))
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            why = "another program listens there (a locstream that runs already?)"
        else:
            why = str(error)
        return problem(NAME_PORT, f"{setting} = {address} cannot be used: {why}", f"stop it, or change {setting}")
    return ok(NAME_PORT, f"{setting} = {address} is free")
