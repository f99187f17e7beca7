"""``locstream omero``: install, login, certificate, and the way back: process an image that is in OMERO already."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from locstream.bundle.bundle import open_bundles
from locstream.bundle.summary_text import summary_text
from locstream.errors import LocstreamError
from locstream.omero import command as basics
from locstream.omero.fetch import fetch, image_number, stack_of
from locstream.omero.filer import OmeroFiler, open_working_session
from locstream.omero.filing import SOURCE
from locstream.stacks.open import open_stack
from locstream.stacks.source import Image, SourceInfo, Stack
from locstream.upload.progress_bar import ProgressBar
from locstream.upload.queue import Queue, default_queue_folder
from locstream.upload.uploader import Uploader


def command(arguments: Sequence[str]) -> int:
    """OMERO's client library, logging in, the server's certificate, and processing what is in OMERO already."""
    parser = argparse.ArgumentParser(prog="locstream omero", description=command.__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("install", help="make the client library, once (Ice is compiled: minutes)")
    login = verbs.add_parser("login", help="ask for the password once; a key that ends by itself is kept")
    login.add_argument("--user", help="your name there (`user` of the settings, or your name here)")
    login.add_argument("--password-from-stdin", action="store_true", help="read it from there, for scripts")
    certificate = verbs.add_parser("certificate", help="show the server's certificate, to compare and to pin it")
    certificate.add_argument("--save", type=Path, metavar="FILE", help="save it; it must not exist yet")
    process = verbs.add_parser("process", help="fit a stack that is in OMERO, and file the results linked to it")
    if "process" in arguments:  # the other verbs need no kernels
        _add_process(process)
    for verb in (login, certificate, process):
        basics.add_settings(verb)
    given = parser.parse_args(arguments)
    match given.verb:
        case "install":
            return basics.install()
        case "login":
            return basics.login(given)
        case "certificate":
            return basics.certificate(given)
        case _:
            return _process(given)


def _add_process(parser: argparse.ArgumentParser) -> None:
    # imported here, and below: it takes seconds
    from locstreamd.service.commands import add_fit_arguments

    parser.add_argument("image", metavar="Image:ID", help="the image with the raw frames")
    add_fit_arguments(parser)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the fetched stack there")
    parser.add_argument(
        "--queue", type=Path, metavar="FOLDER", default=default_queue_folder(), help="of the queue (%(default)s)"
    )


class FetchedStack:
    """A stack that says which image it was fetched from; so its results find the way back, whoever files them."""

    def __init__(self, stack: Stack, source: str) -> None:
        self._stack = stack
        self.info: SourceInfo = replace(stack.info, details={**stack.info.details, SOURCE: source})

    def __len__(self) -> int:
        return len(self._stack)

    def read(self, index: int) -> Image:
        """Return a frame."""
        return self._stack.read(index)

    def close(self) -> None:
        """Give the file back."""
        self._stack.close()


def _process(given: argparse.Namespace) -> int:
    from locstreamd.service.commands import stack_config
    from locstreamd.service.fit_stack import fit_stack

    settings, image = basics.settings_of(given.settings), image_number(given.image)
    bar = ProgressBar(sys.stderr)
    given.out = given.out or Path(f"omero-image-{image}-{time.strftime('%Y%m%d-%H%M%S')}")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=given.out.parent) as there:
        session = open_working_session(settings)
        try:
            if not session.server.may_annotate(image):
                raise LocstreamError(
                    f"you may not annotate Image:{image}, to which the results would belong",
                    safe="nothing was fetched",
                    todo="ask its owner to work in a group in which members may annotate (rwra--)",
                )
            file = stack_of(session.server, image)
            given.stack = fetch(session.server, file, given.keep or Path(there), lambda *t: bar.show(given.image, *t))
        finally:
            session.close()
        bar.tell(f"fetched {given.stack.name}")
        config = stack_config(given)
        with closing(FetchedStack(open_stack(given.stack), f"{settings.server} Image:{image}")) as stack:
            summary = fit_stack(config, stack, given.pixel_size_nm, None, given.stack if given.keep else None)
    print(summary_text(summary))
    queue = Queue(given.queue)
    for bundle in open_bundles(given.out):
        queue.add(bundle, time.time())
    with queue.uploader_lock():
        Uploader(queue, OmeroFiler(settings), tell=bar.tell, show=bar.show).work()
    left = [ticket for ticket in queue.tickets() if ticket.name == summary.name and ticket.state != "filed"]
    return 1 if left else 0
