"""Where programs connect: the private folder of sockets, and the ports that a configuration names."""

from __future__ import annotations

import errno
import socket

from locstream.errors import LocstreamError
from locstream.stream.runtime import Connection, running, runtime_folder
from locstreamd.addresses import Address
from locstreamd.service.checks.finding import Finding, ok, problem, refused

NAME_PORT = "port"


def check_sockets() -> tuple[Finding, list[Connection]]:
    """See that the folder of the sockets belongs to this user alone; return also what runs there."""
    name = "sockets"
    try:
        folder, here = runtime_folder(), running()
    except LocstreamError as error:
        return refused(name, error), []
    runs = f"; running now: {', '.join(connection.name for connection in here)}" if here else ""
    return ok(name, f"{folder} is open to this user only{runs}"), here


def check_ports(addresses: dict[str, Address]) -> list[Finding]:
    """See that the ports that a configuration listens on are free.

    Parameters
    ----------
    addresses
        By the setting that names them, such as ``stream.listen``.
    """
    if not addresses:
        return [ok(NAME_PORT, "none is listened on; programs of this user connect by the sockets above")]
    return [check_port(setting, address) for setting, address in addresses.items()]


def check_port(setting: str, address: Address) -> Finding:
    """See that one port can be listened on."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
            probe.bind((address.plain_host, address.port))
    except OSError as error:
        in_use = "another program listens there (a locstream that runs already?)"
        why = in_use if error.errno == errno.EADDRINUSE else str(error)
        what = f"{setting} = {address.endpoint} cannot be used: {why}"
        return problem(NAME_PORT, what, f"stop it, or change {setting}")
    return ok(NAME_PORT, f"{setting} = {address.endpoint} is free")
