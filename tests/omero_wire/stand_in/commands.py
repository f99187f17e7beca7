"""Requests that take a while, and the handles a client waits on (omero-blitz, `SessionI.submit`, `HandleI`)."""

import threading
import time
from typing import Any

import omero
import omero.cmd

from .deleting import Deleting, GraphError
from .dispatch import Call, Service, served
from .model import kind_called


@served
class HandleI(Service, omero.cmd.Handle):
    """One request: how far it is and what came out. Whoever added a callback is told."""

    locked = False

    def __init__(self, server: Any, session: Any, request: Any, steps: int) -> None:
        super().__init__(server, session)
        self.proxy: Any = None
        self._request = request
        self._response: Any = None
        self._callbacks: dict[Any, Any] = {}
        self._status = omero.cmd.Status(
            category=request.ice_id(), name="", flags=[], parameters={}, steps=steps, startTime=_now()
        )
        self._changed = threading.Lock()

    def addCallback(self, call: Call, callback: Any) -> None:
        identity = callback.ice_getIdentity()
        proxy = call.current.con.createProxy(identity)
        with self._changed:
            self._callbacks[identity.name] = omero.cmd.CmdCallbackPrx.uncheckedCast(proxy)

    def removeCallback(self, call: Call, callback: Any) -> None:
        with self._changed:
            self._callbacks.pop(callback.ice_getIdentity().name, None)

    def getRequest(self, call: Call) -> Any:
        return self._request

    def getResponse(self, call: Call) -> Any:
        return self._response

    def getStatus(self, call: Call) -> Any:
        return self._status

    def cancel(self, call: Call) -> bool:
        raise omero.LockTimeout(message="the stand-in cancels nothing", backOff=5000, seconds=0)

    def close(self, call: Call) -> None:
        self.session.remove(self.proxy.ice_getIdentity())

    def step(self, done: int) -> None:
        """Say that so many steps are done."""
        self._status.currentStep = done
        self._tell("begin_step", done, self._status.steps)

    def finish(self, response: Any) -> None:
        """Say what came out."""
        failed = isinstance(response, omero.cmd.ERR)
        self._status.flags = [omero.cmd.State.FAILURE] if failed else []
        self._status.stopTime = _now()
        with self._changed:
            self._response = response
        self._tell("begin_finished", response, self._status)

    def _tell(self, operation: str, *values: Any) -> None:
        with self._changed:
            proxies = list(self._callbacks.values())
        for proxy in proxies:
            # nobody waits for the answer: the client may be gone, and it asks for the response itself as well
            getattr(proxy, operation)(*values, _response=lambda *a: None, _ex=lambda error: None)


def handle(call: Call, request: Any, steps: int) -> HandleI:
    """Put a handle on the wire."""
    made = HandleI(call.server, call.session, request, steps)
    made.proxy = omero.cmd.HandlePrx.uncheckedCast(call.session.add(made))
    return made


def error(request: Any, name: str, **parameters: str) -> Any:
    """Return a response that says what went wrong (`IRequest.Helper.cancel`)."""
    return omero.cmd.ERR(category=request.ice_id(), name=name, parameters=parameters)


def submit(call: Call, request: Any) -> Any:
    """Do a request; return the handle with its response."""
    answer = _do(call, request)
    made = handle(call, request, 1)
    made.step(1)
    made.finish(answer)
    return made.proxy


def _do(call: Call, request: Any) -> Any:
    if isinstance(request, omero.cmd.DoAll):
        answers = [_do(call, one) for one in request.requests]
        failed = [a for a in answers if isinstance(a, omero.cmd.ERR)]
        return failed[0] if failed else omero.cmd.DoAllRsp(responses=answers, status=[])
    if isinstance(request, omero.cmd.Delete2):
        options = request.childOptions or []
        if request.typesToIgnore or any(o.includeType or o.includeNs or o.excludeNs for o in options):
            return error(request, "not-implemented", message="the stand-in knows no option but excludeType")
        kept = {kind_called(name) or name for o in options for name in o.excludeType or []}
        try:
            gone = Deleting(call.server, call.writing(), kept).delete(request.targetObjects, request.dryRun)
        except GraphError as failure:
            return error(request, "graph-fail", message=str(failure))
        return omero.cmd.Delete2Response(deletedObjects=gone)
    raise omero.InternalException(message=f"the stand-in does not know the request {request.ice_id()}")


def _now() -> int:
    return int(time.time() * 1000)
