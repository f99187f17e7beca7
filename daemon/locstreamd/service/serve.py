"""``locstream serve``: idle → acquiring → finishing → idle, steered over the control socket."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import zmq

from locstream.bundle.run_lock import RunLock
from locstream.bundle.summary import Summary
from locstream.bundle.summary_text import summary_text
from locstream.errors import LocstreamError
from locstream.fitting import warmup
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Reply, Request, Status
from locstream.upload.state import state_folder
from locstreamd.service.acquisition import Acquisition
from locstreamd.service.cameras import calibration_for
from locstreamd.service.config import Config
from locstreamd.service.depth import check_lens, fit_for
from locstreamd.service.desk import Desk
from locstreamd.service.live_line import live_text
from locstreamd.service.load_config import load_config
from locstreamd.service.logs import Logs, logs_folder
from locstreamd.service.metrics import metrics
from locstreamd.service.names import tells_runs_apart
from locstreamd.service.outcome import Outcome
from locstreamd.service.plan import Plan, Prepared, prepare
from locstreamd.service.recovery import recover_folder
from locstreamd.service.run import acquire, finish
from locstreamd.service.sources import open_source, source_table
from locstreamd.service.state import StateFolder
from locstreamd.service.systemd import Watchdog, notify

POLL_MS = 200
LOG_EVERY_S = 60.0
KNOWN = "status, start, stop, abort"

log = logging.getLogger("locstream")


class Service:
    """One camera, one acquisition at a time, until told to end.

    Parameters
    ----------
    config_file
        Read at the start, and again on SIGHUP when idle.
    state
        The state folder, held.
    desk
        Where it is watched and steered.
    show
        Called with every `Status`, also when idle: for the metrics.
    """

    def __init__(self, config_file: Path, state: StateFolder, desk: Desk, show: Callable[[Status], None]) -> None:
        self._config_file = config_file
        self._state = state
        self._desk = desk
        self._show = show
        self._shown = Status(acquisition="", seq=0, state="idle", ledger=LedgerSnapshot())
        self._config = self._load()
        self._watchdog = Watchdog()
        self._order: Request | None = None
        self._acquisition: Acquisition | None = None
        self._last = "nothing acquired yet"
        self._doing = "idle"
        self._logged_at = 0.0
        self._ending = self._reload = False

    def run(self) -> None:
        """Serve until told to end; an acquisition that runs then is stopped and its files are finished.

        Raises
        ------
        LocstreamError
            The camera does not answer at the start, or the configuration is not valid.
        """
        self._recover()
        self._warm_up()
        notify("READY=1", "STATUS=idle")
        log.info("ready")
        while not self._ending:
            self._turn()
            if self._order is not None:
                order, self._order = self._order, None
                self._acquire(order)
            elif self._reload:
                self._reload = False
                self._reload_config()
        notify("STOPPING=1")

    def _warm_up(self) -> None:
        """See that the camera answers and its calibrations go together; have the kernels compiled that it needs."""
        opened = open_source(self._config)
        info = opened.source.info
        opened.source.close()
        calibration, _, _ = calibration_for(self._config, info, opened.fallback)
        fit = fit_for(self._config, calibration.pixel_size_nm)
        warmup(fit.options, calibration.pixel_size_nm, fit.astigmatism)

    def end(self) -> None:
        """Ask to end. May be called from a signal handler."""
        self._ending = True
        if self._acquisition is not None:
            self._acquisition.stop(hurry=self._acquisition.stopping)

    def reload(self) -> None:
        """Ask for the configuration to be read again when idle. May be called from a signal handler."""
        self._reload = True

    def _turn(self) -> None:
        """Answer who asks, while no acquisition does it."""
        poller = zmq.Poller()
        for socket in (self._desk.control.socket, self._desk.publisher.socket):
            poller.register(socket, zmq.POLLIN)
        poller.poll(POLL_MS)
        self._desk.tend(self._reply)
        self._watchdog.progress(time.monotonic(), pending=False)

    def _reply(self, request: Request) -> Reply:
        match request.verb:
            case "status":
                status = Status(acquisition="", seq=0, state=self._doing, ledger=LedgerSnapshot(), warning=self._last)
                return Reply(id=request.id, ok=True, status=status)
            case "start" if self._doing != "idle" or self._order is not None:
                return Reply(
                    id=request.id, ok=False, message=f"the service is {self._doing}; try again when it is idle"
                )
            case "start":
                self._order = request
                return Reply(id=request.id, ok=True, message="the acquisition starts; `locstream status` follows it")
            case "stop" | "abort":
                return Reply(
                    id=request.id, ok=False, message=f"no acquisition is running; the service is {self._doing}"
                )
            case other:
                return Reply(id=request.id, ok=False, message=f"unknown request {other!r}; known: {KNOWN}")

    def _acquire(self, order: Request) -> None:
        """Carry an order out; what goes wrong is told by `status` and in the log, and the service goes on."""
        try:
            plan = self._plan(order)
            with ExitStack() as until_finished:
                try:
                    prepared = prepare(plan)
                    until_finished.enter_context(RunLock(prepared.files))
                    outcome = self._record(plan, prepared)
                finally:
                    plan.source.close()
                summary = self._finish(plan, prepared, outcome)
            self._state.done()
            self._last = f"{summary.name}: {summary.outcome}" + (f": {summary.fault}" if summary.fault else "")
            log.log(logging.ERROR if summary.fault else logging.INFO, "%s", summary_text(summary))
        except LocstreamError as error:
            self._last = error.what
            log.error("%s", error)
        self._do("idle")
        notify(f"STATUS=idle; last {self._last}")

    def _plan(self, order: Request) -> Plan:
        settings = self._config.acquisition
        usual = settings.name if tells_runs_apart(settings.name) else settings.name + "-{date}-{time}"
        name = order.name or usual
        folder = settings.folder if "{name}" in str(settings.folder) else settings.folder / "{name}"
        overrides: dict[str, object] = {"acquisition.name": name, "acquisition.folder": str(folder)}
        if order.frames is not None:
            overrides[f"{source_table(self._config, self._config_file)}.frames"] = order.frames
        config = load_config(self._config_file, overrides).config
        return Plan(config, *open_source(config))

    def _record(self, plan: Plan, prepared: Prepared) -> Outcome:
        self._state.begin(prepared.files.folder, prepared.files.name)
        log.info("%s begins in %s", prepared.files.name, prepared.files.folder)
        for warning in (*plan.source.info.warnings, *prepared.warnings):
            log.warning("%s", warning)
        self._acquisition = Acquisition(plan, prepared, self._desk, self._watch)
        if self._ending:
            self._acquisition.stop()
        try:
            return acquire(self._acquisition, prepared.files)
        except LocstreamError:
            self._state.done()  # it did not start, and left nothing behind
            raise
        finally:
            self._acquisition = None

    def _finish(self, plan: Plan, prepared: Prepared, outcome: Outcome) -> Summary:
        """Finish the files in a thread, so that whoever asks is still answered."""
        self._do("finishing")
        notify(f"STATUS=finishing {prepared.files.name}")
        result: list[Summary | LocstreamError] = []

        def work() -> None:
            try:
                result.append(finish(plan, prepared, outcome))
            except LocstreamError as error:
                result.append(error)

        thread = threading.Thread(target=work, name="finish")
        thread.start()
        while thread.is_alive():
            self._turn()
        if isinstance(result[0], LocstreamError):
            raise result[0]
        return result[0]

    def _do(self, doing: str) -> None:
        """Note what is being done; the numbers stay those of the last acquisition."""
        self._doing = doing
        self._show(msgspec.structs.replace(self._shown, state=doing))

    def _watch(self, status: Status) -> None:
        """Take the numbers of the running acquisition: to systemd, the metrics, and once a minute the log."""
        self._shown = status
        self._show(status)
        ledger = status.ledger
        self._watchdog.progress((ledger.acquired, ledger.pending), pending=ledger.pending > 0)
        notify(f"STATUS={live_text(status)}")
        if time.monotonic() - self._logged_at >= LOG_EVERY_S:
            self._logged_at = time.monotonic()
            log.info("%s", live_text(status))

    def _recover(self) -> None:
        """Finish what a service that died has left."""
        if (unfinished := self._state.unfinished) is None:
            return
        log.warning("%s was not finished; recovering %s", unfinished.name, unfinished.folder)
        notify(f"STATUS=recovering {unfinished.name}")
        if Path(unfinished.folder).is_dir():
            # fitting what was recorded may take long: systemd waits for as long as it gets on
            problems = recover_folder(
                Path(unfinished.folder), lambda text: notify(f"STATUS={text}", "EXTEND_TIMEOUT_USEC=120000000")
            )
            if problems:
                self._last = (
                    f"{unfinished.name} could not be recovered; `locstream recover {unfinished.folder}` says why"
                )
                log.error("%s", self._last)
        self._state.done()

    def _load(self) -> Config:
        config = load_config(self._config_file).config
        source_table(config, self._config_file)
        check_lens(config)
        return config

    def _reload_config(self) -> None:
        try:
            self._config = self._load()
            log.info("configuration read again from %s", self._config_file)
        except LocstreamError as error:
            log.error("the old configuration stays in effect: %s", error)


def command(arguments: Sequence[str]) -> int:
    """Run as a service, steered by `locstream start`, `status`, `stop` and `abort`. SIGTERM finishes the files."""
    parser = argparse.ArgumentParser(prog="locstream serve", description=command.__doc__)
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="camera, calibration and everything else")
    parser.add_argument("--state", type=Path, metavar="FOLDER", help="state folder, one a service (%(default)s)")
    parser.set_defaults(state=state_folder())
    given = parser.parse_args(arguments)
    settings = load_config(given.config).config
    with (
        StateFolder(given.state) as state,
        Logs(logs_folder(given.state)),
        metrics(settings.metrics) as show,
        Desk(uuid.uuid4().hex, settings.stream) as desk,
    ):
        service = Service(given.config, state, desk, show)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: service.end())
        signal.signal(signal.SIGHUP, lambda *_: service.reload())
        desk.announce("serve")
        if desk.listening:
            log.info("%s", desk.listening)
        service.run()
    return 0
