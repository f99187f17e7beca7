"""``locstream omero``: the client library, logging in, and the server's certificate."""

from __future__ import annotations

import argparse
import getpass
import hashlib
import ssl
import sys
from pathlib import Path

from locstream.errors import ConfigError, LocstreamError
from locstream.omero import client_library
from locstream.omero.filer import omero_settings
from locstream.omero.keys import save_key
from locstream.omero.settings import OmeroSettings
from locstream.upload.settings import default_settings_file, load_upload_settings

PATIENCE_S = 10.0


def settings_of(path: Path) -> OmeroSettings:
    """Return the table ``[omero]`` of the upload settings.

    Raises
    ------
    ConfigError
        The file is missing or not valid, or has no such table.
    """
    table = load_upload_settings(path).places.get("omero")
    if table is None:
        raise ConfigError(
            f"{path} has no table [omero]", todo='write into it `[omero]` and `host = "…"`; docs/omero.md says more'
        )
    return omero_settings(table)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add where the settings are."""
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", default=default_settings_file(), help="with [omero] (%(default)s)"
    )


def install() -> int:
    """Make the environment with OMERO's client library."""
    from locstream.omero.installation import install as make

    folder = make(lambda said: print(said, flush=True))
    print(f"OMERO's client library is ready in {folder}")
    return 0


def login(given: argparse.Namespace) -> int:
    """Ask for the password once and keep a key that ends by itself."""
    settings = settings_of(given.settings)
    client_library.use()
    from locstream.omero.session import lasting_key

    user = given.user or settings.user or getpass.getuser()
    print(f"{user} on {settings.server}" + ("" if settings.verified else "; nobody checks that it is this server"))
    password = sys.stdin.readline().rstrip("\n") if given.password_from_stdin else getpass.getpass("Password: ")
    key, minutes = lasting_key(settings, user, password)
    path = save_key(settings, key)
    print(f"logged in; the key is in {path} and ends {minutes:.0f} min after its last use.")
    print("`locstream upload run` keeps it alive; `locstream upload retry` takes up what was refused.")
    return 0


def certificate(given: argparse.Namespace) -> int:
    """Show what the server presents, and save it where asked for."""
    settings = settings_of(given.settings)
    try:
        text = ssl.get_server_certificate((settings.server, settings.ssl_port), timeout=PATIENCE_S)
    except OSError as error:
        raise LocstreamError(
            f"{settings.server}, port {settings.ssl_port}, shows no certificate: {error.strerror or error}",
            todo="is the name right, and is the server up?",
        ) from error
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest().upper()
    print(f"{settings.server} presents a certificate with the SHA-256 fingerprint")
    print("  " + ":".join(digest[i : i + 2] for i in range(0, len(digest), 2)))
    print("Compare it with what the server's administrator says: `openssl x509 -fingerprint -sha256 -noout -in …`")
    if given.save is not None:
        try:
            with given.save.open("x", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            raise LocstreamError(f"{given.save} cannot be written: {error.strerror}") from error
        print(f'saved; `pinned = "{given.save.absolute()}"` under [omero] accepts this certificate and no other')
    return 0
