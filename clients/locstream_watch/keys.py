"""``locstream keys``: who may watch this computer's acquisitions from another one."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Sequence

from locstream.stream.keys import Keyring, Role, read_client_keys


def command(arguments: Sequence[str]) -> int:
    """Make keys, and say who may connect from another computer, and as what."""
    parser = argparse.ArgumentParser(prog="locstream keys", description=command.__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, explanation: str, do: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=explanation, description=explanation)
        added.set_defaults(do=do)
        return added

    verb("server", "print this computer's public key; make its keys where there are none", _server)
    new = verb("new", "make keys for somebody and admit them", _new)
    admit = verb("admit", "admit somebody who has made keys of their own", _admit)
    for added in (new, admit):
        added.add_argument("name", help="who it is, or which computer")
        added.add_argument("--role", choices=[*Role], default=Role.VIEW, help="what they may do (%(default)s)")
    admit.add_argument("--key", required=True, help="their public key, 40 characters")
    own = verb("own", "make keys here, to connect to another computer with", _own)
    own.add_argument("name", help="as what that computer is to know this one")
    own.add_argument("--server", required=True, metavar="KEY", help="what `locstream keys server` prints there")
    verb("list", "print who is admitted, as what, and since when", _list)
    verb("revoke", "admit somebody no longer; a running daemon cuts them off", _revoke).add_argument("name")
    given = parser.parse_args(arguments)
    given.do(given)
    return 0


def _server(given: argparse.Namespace) -> None:
    print(Keyring().server().public)


def _new(given: argparse.Namespace) -> None:
    path = Keyring().create_client(given.name, Role(given.role))
    print(f"{path}\n{given.name} may {given.role}. Carry this file to {given.name} by a safe way, then remove it here.")


def _own(given: argparse.Namespace) -> None:
    path = Keyring().create_own(given.name, given.server)
    public = read_client_keys(path).pair.public
    print(f"{path}\nOn that computer: locstream keys admit {given.name} --role view --key='{public}'")


def _admit(given: argparse.Namespace) -> None:
    Keyring().admit(given.name, given.key, Role(given.role))
    print(f"{given.name} may {given.role}")


def _list(given: argparse.Namespace) -> None:
    everyone = sorted(Keyring().admitted().items())
    if not everyone:
        print("nobody is admitted; `locstream keys new NAME` makes keys for somebody")
    for name, admission in everyone:
        since = datetime.datetime.fromtimestamp(admission.since_s, datetime.UTC)
        print(f"{name:<20} {admission.role:<8} {admission.public}  since {since:%Y-%m-%d %H:%M} UTC")


def _revoke(given: argparse.Namespace) -> None:
    Keyring().revoke(given.name)
    print(f"{given.name} is admitted no longer")
