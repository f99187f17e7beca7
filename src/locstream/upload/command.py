"""``locstream upload``: hand finished runs on, and see what became of them."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from locstream.bundle.bundle import open_bundles
from locstream.errors import LocstreamError
from locstream.upload.acquiring import acquiring
from locstream.upload.places import filer_of
from locstream.upload.progress_bar import ProgressBar
from locstream.upload.queue import Queue, default_queue_folder
from locstream.upload.settings import UploadSettings, default_settings_file, load_upload_settings
from locstream.upload.ticket import Ticket
from locstream.upload.uploader import Uploader, be_gentle

LOOK_EVERY_S = 5.0


def command(arguments: Sequence[str]) -> int:
    """Hand finished runs on to where the lab keeps its images. Local files are only read, never deleted."""
    parser = argparse.ArgumentParser(prog="locstream upload", description=command.__doc__)
    parser.add_argument(
        "--queue", type=Path, metavar="FOLDER", default=default_queue_folder(), help="of the queue (%(default)s)"
    )
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", default=default_settings_file(), help="where runs go (%(default)s)"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, explanation: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=explanation, description=explanation)

    verb("add", "queue the runs of folders").add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="with one finished run or several"
    )
    verb("status", "what is queued, what is filed, and why something is not")
    verb("retry", "try again, also what was refused").add_argument(
        "runs", nargs="*", metavar="RUN", help="by its name or the beginning of its identifier (all)"
    )
    verb("forget", "take off the queue; no data is touched").add_argument(
        "runs", nargs="+", metavar="RUN", help="by its name or the beginning of its identifier"
    )
    verb("now", "hand on what waits, then end")
    verb("run", "hand on whatever comes, until stopped")
    verb("preflight", "would an upload work?")
    given = parser.parse_args(arguments)
    queue = Queue(given.queue)
    match given.verb:
        case "add":
            return _add(queue, given.folders)
        case "status":
            return _status(queue)
        case "retry":
            return _retry(queue, given.runs)
        case "forget":
            return _forget(queue, given.runs)
        case "preflight":
            return _preflight(load_upload_settings(given.settings))
        case verb:
            return _upload(queue, load_upload_settings(given.settings), forever=verb == "run")


def _add(queue: Queue, folders: Sequence[Path]) -> int:
    for folder in folders:
        for bundle in open_bundles(folder):
            ticket = queue.add(bundle, time.time())
            print(f"{ticket.name}: {ticket.state}")
    return 0


def _status(queue: Queue) -> int:
    """Print a line a run; the status is 1 where somebody has to do something."""
    tickets = queue.tickets()
    for ticket in tickets:
        print(_line(ticket))
    if not tickets:
        print("nothing is queued")
    return 1 if any(ticket.state == "refused" for ticket in tickets) else 0


def _line(ticket: Ticket) -> str:
    changed = datetime.fromtimestamp(ticket.changed_s).astimezone()
    line = f"{ticket.name}  {ticket.uuid[:8]}  {ticket.state} since {changed:%Y-%m-%d %H:%M:%S}"
    if ticket.state == "waiting" and ticket.not_before_s > time.time():
        line += f", again in {ticket.not_before_s - time.time():.0f} s (tried {ticket.tries} times)"
    told = (ticket.url, ticket.reason, ticket.todo and f"Next: {ticket.todo}")
    return "\n  ".join([line, *(text for text in told if text)])


def _wanted(queue: Queue, runs: Sequence[str]) -> list[Ticket]:
    found = []
    for wanted in runs:
        matching = queue.find(wanted)
        if len(matching) != 1:
            what = f"{len(matching)} runs are" if matching else "no run is"
            raise LocstreamError(
                f"{what} queued as {wanted!r}", todo="give a name or the beginning of an identifier of `upload status`"
            )
        found += matching
    return found


def _retry(queue: Queue, runs: Sequence[str]) -> int:
    waiting = [t for t in queue.tickets() if t.state in ("waiting", "refused")]
    for ticket in _wanted(queue, runs) if runs else waiting:
        queue.change(ticket.uuid, lambda found: found.again(time.time()) if found.state != "uploading" else found)
        print(f"{ticket.name}: waiting")
    return 0


def _forget(queue: Queue, runs: Sequence[str]) -> int:
    for ticket in _wanted(queue, runs):
        queue.forget(ticket.uuid)
        print(f"{ticket.name}: forgotten; its files stay in {ticket.folder}")
    return 0


def _preflight(settings: UploadSettings) -> int:
    checks = filer_of(settings).preflight()
    for check in checks:
        print(
            f"{'ok' if check.fine else 'NO':<4}{check.name:<12}{check.said}" + (f"; {check.todo}" if check.todo else "")
        )
    return 0 if all(check.fine for check in checks) else 1


def _upload(queue: Queue, settings: UploadSettings, *, forever: bool) -> int:
    with queue.uploader_lock():
        be_gentle(settings.nice)
        if not forever:
            for ticket in queue.tickets():
                queue.change(ticket.uuid, lambda found: found.again(time.time()) if found.state == "waiting" else found)
        busy = (lambda: False) if settings.while_acquiring else acquiring
        bar = ProgressBar(sys.stdout)
        filer = filer_of(settings)
        uploader = Uploader(queue, filer, busy=busy, tell=bar.tell, show=bar.show)
        ended = False

        def end(number: int, frame: object) -> None:
            nonlocal ended
            ended = True
            uploader.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        while not ended:
            uploader.work()
            if not forever:
                break
            filer.idle()
            time.sleep(LOOK_EVERY_S)
    left = [t for t in queue.tickets() if t.state != "filed"]
    return 1 if left and not forever else 0
