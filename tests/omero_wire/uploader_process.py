"""Files runs in OMERO, in a process of its own that has the library; told what to do in lines of JSON.

{"do": "login", "settings": {…}, "user": …, "password": …}, {"do": "file", "settings": …, "folder": …, "uuid": …},
{"do": "preflight", "settings": …}, {"do": "close"} and {"do": "logout"}; each is answered by a line: {"value": …} or
{"error": …, …}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from locstream.bundle.bundle import Bundle, open_bundles
from locstream.errors import LocstreamError
from locstream.omero import client_library, filing
from locstream.omero.filer import OmeroFiler, omero_settings
from locstream.omero.keys import save_key
from locstream.upload.state import state_folder

filing.BLOCK = 40_000
filing.TABLE_ROWS = 25
filers: list[OmeroFiler] = []


def login(settings: dict[str, Any], user: str, password: str) -> None:
    client_library.use()
    from locstream.omero.session import lasting_key

    found = omero_settings(settings)
    save_key(found, lasting_key(found, user, password)[0])


def bundle_of(folder: str, uuid: str) -> Bundle:
    found = open_bundles(Path(folder))[0]
    return Bundle(found.files, uuid or found.uuid, found.sha256, found.graph)


def file(settings: dict[str, Any], folder: str, uuid: str = "", check: bool = False) -> dict[str, Any]:
    if check:
        bundle_of(folder, uuid).check()
    filers.append(OmeroFiler(omero_settings(settings)))
    told: list[tuple[str, int, int]] = []
    url = filers[-1].file(bundle_of(folder, uuid), lambda *now: told.append(now))
    return {"url": url, "told": told}


def preflight(settings: dict[str, Any]) -> list[dict[str, Any]]:
    return [vars(check) for check in OmeroFiler(omero_settings(settings)).preflight()]


def close() -> None:
    while filers:
        filers.pop().close()


def logout() -> None:
    close()
    for key in (state_folder() / "omero").glob("*.key"):
        key.unlink()


ORDERS = {"logout": logout, "login": login, "file": file, "preflight": preflight, "close": close}

for line in sys.stdin:
    order = json.loads(line)
    try:
        answer: dict[str, Any] = {"value": ORDERS[order.pop("do")](**order)}
    except LocstreamError as error:
        answer = {"error": type(error).__name__, "what": error.what, "safe": error.safe, "todo": error.todo}
    print(json.dumps(answer), flush=True)
