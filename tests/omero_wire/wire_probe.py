"""Runs beside omero-py: does what a test says, line by line, over the wire, and answers in JSON.

Each line is {"do": name of a function here, …arguments}; the answer is {"result": …} or {"error": name, "message": …}.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import Ice
import omero
import omero.callbacks
import omero.cmd
from omero.rtypes import rstring, unwrap
from wire_client import attached, connected, fileset, hasher, pairs, settings, uploaded, waited
from wire_shown import graph, parameters, plain, response

CLIENTS: dict[str, Any] = {}


def login(who: str, url: str, user: str, password: str, group: str = "", **properties: str) -> str:
    if group:
        properties["omero.group"] = group
    CLIENTS[who] = connected(url, user, password, **properties)
    CLIENTS[who].sf.detachOnDestroy()
    return str(CLIENTS[who].getSessionId())


def logout(who: str, kill: bool = False) -> None:
    client = CLIENTS.pop(who)
    if kill:
        client.killSession()
    client.__del__()


def logout_all() -> None:
    for who in list(CLIENTS):
        logout(who)


def call(who: str, service: str, operation: str, *args: Any, ctx: dict[str, str] | None = None) -> Any:
    """Call a service that is got by name with plain arguments; service "" is the session itself."""
    sf = CLIENTS[who].sf
    proxy = getattr(sf, service)() if service else sf
    return plain(getattr(proxy, operation)(*args, ctx) if ctx else getattr(proxy, operation)(*args))


def event_context(who: str, group: str = "") -> dict[str, Any]:
    context = CLIENTS[who].sf.getAdminService().getEventContext(_context(who, group))
    return {"user": context.userName, "group": context.groupName, "uuid": context.sessionUuid}


def change_group(who: str, group: int) -> int:
    before = CLIENTS[who].sf.setSecurityContext(omero.model.ExperimenterGroupI(group, False))
    return int(before.id.val)


def projection(who: str, hql: str, group: str = "", page: list[int] | None = None, **params: Any) -> Any:
    found = CLIENTS[who].sf.getQueryService().projection(hql, parameters(params, page), _context(who, group))
    return [[plain(value) for value in row] for row in found]


def types(who: str, hql: str) -> list[str]:
    """Return the classes of the first row of a projection."""
    row = CLIENTS[who].sf.getQueryService().projection(hql, None)[0]
    return [type(value).__name__ for value in row]


def objects(who: str, hql: str, group: str = "", page: list[int] | None = None, **params: Any) -> Any:
    """Return, for each object, its kind, its id, and for each loaded field or collection what is in it."""
    found = CLIENTS[who].sf.getQueryService().findAllByQuery(hql, parameters(params, page), _context(who, group))
    return [graph(thing, 3) for thing in found]


def permissions(who: str, kind: str, number: int, group: str = "") -> list[bool] | None:
    thing = CLIENTS[who].sf.getQueryService().find(kind, number, _context(who, group))
    if thing is None:
        return None
    allowed = thing.details.permissions
    return [allowed.canLink(), allowed.canEdit(), allowed.canDelete(), allowed.canAnnotate()]


def make(who: str, kind: str, group: str = "", **fields: str) -> int:
    made = getattr(omero.model, f"{kind}I")()
    for field, value in fields.items():
        setattr(made, field, rstring(value))
    return int(CLIENTS[who].sf.getUpdateService().saveAndReturnObject(made, _context(who, group)).id.val)


def make_for(who: str, field: str, number: int) -> None:
    """Save a dataset that somebody else, or another group, shall own."""
    made = omero.model.DatasetI()
    made.name = rstring("for others")
    kind = {"owner": omero.model.ExperimenterI, "group": omero.model.ExperimenterGroupI}[field]
    setattr(made.details, field, kind(number, False))
    CLIENTS[who].sf.getUpdateService().saveObject(made)


def link(who: str, kind: str, parent: int, child: int, group: str = "") -> int:
    parent_kind, child_kind = LINKS[kind]
    made = getattr(omero.model, f"{kind.replace('TagLink', 'AnnotationLink')}I")()
    made.parent = getattr(omero.model, f"{parent_kind}I")(parent, False)
    made.child = getattr(omero.model, f"{child_kind}I")(child, False)
    return int(CLIENTS[who].sf.getUpdateService().saveAndReturnObject(made, _context(who, group)).id.val)


LINKS = {
    "ProjectDatasetLink": ("Project", "Dataset"),
    "DatasetImageLink": ("Dataset", "Image"),
    "DatasetAnnotationLink": ("Dataset", "MapAnnotation"),
    "DatasetTagLink": ("Dataset", "TagAnnotation"),
    "ImageAnnotationLink": ("Image", "MapAnnotation"),
}


def rename(who: str, kind: str, number: int, name: str, meanwhile: str = "", group: str = "") -> int:
    """Change a name; with `meanwhile`, somebody else has changed it since it was loaded. Return the version."""
    context = _context(who, group)
    query, update = CLIENTS[who].sf.getQueryService(), CLIENTS[who].sf.getUpdateService()
    thing = query.get(kind, number, context)
    if meanwhile:
        other = query.get(kind, number, context)
        other.name = rstring(meanwhile)
        update.saveObject(other, context)
    thing.name = rstring(name)
    return int(update.saveAndReturnObject(thing, context).version.val)


def graph_that_fails(who: str) -> None:
    """Save a project with a good dataset and one without a name, in one graph."""
    project = omero.model.ProjectI()
    project.name = rstring("whole or nothing")
    for name in ("good", None):
        dataset = omero.model.DatasetI()
        dataset.name = rstring(name) if name else None
        project.linkDataset(dataset)
    CLIENTS[who].sf.getUpdateService().saveObject(project)


def annotate(who: str, kind: str, number: int, ns: str, group: str = "", **values: str) -> int:
    made = getattr(omero.model, f"{kind}AnnotationLinkI")()
    made.parent, made.child = getattr(omero.model, f"{kind}I")(number, False), pairs(ns, **values)
    saved = CLIENTS[who].sf.getUpdateService().saveAndReturnObject(made, _context(who, group))
    return int(saved.child.id.val)


def delete(
    who: str, group: str = "", keep: list[str] | None = None, dry_run: bool = False, **targets: list[int]
) -> Any:
    request = omero.cmd.Delete2(targetObjects=targets, dryRun=dry_run)
    if keep:
        request.childOptions = [omero.cmd.graphs.ChildOption(excludeType=keep)]
    return response(waited(CLIENTS[who], CLIENTS[who].sf.submit(request, _context(who, group))))


def import_file(who: str, path: str, dataset: int | None = None, name: str = "", **how: Any) -> Any:
    """Import a file; `how` may say sha1, jobs, stats, algorithm, project (a wrong target), marker and block."""
    what, given = fileset(f"run/{Path(path).name}"), settings(dataset, name)
    if how.get("jobs", 1) == 0:
        what.clearJobLinks()
    for _ in range(how.get("jobs", 1) - 1):
        what.linkJob(omero.model.UploadJobI())
    if not how.get("algorithm", True):
        given.checksumAlgorithm = None
    if "project" in how:
        given.userSpecifiedTarget = omero.model.ProjectI(how["project"], False)
    if how.get("stats"):
        given.noStatsInfo = omero.rtypes.rbool(False)
    if "marker" in how:
        given.userSpecifiedAnnotationList = [pairs("marker", **how["marker"])]
    process, sha1 = uploaded(CLIENTS[who], Path(path), what, given, how.get("block", 1 << 20))
    answer = response(waited(CLIENTS[who], process.verifyUpload([how.get("sha1", sha1)])))
    process.close()
    return answer


def upload_offset(who: str, n_bytes: int) -> list[int]:
    """Return the offset before, after a write of so many bytes, and after the store was closed."""
    process = CLIENTS[who].getManagedRepository().importFileset(fileset("a/b.tif"), settings(None))
    found = [process.getUploadOffset(0)]
    store = process.getUploader(0)
    store.write(b"x" * n_bytes, 0, n_bytes)
    found.append(process.getUploadOffset(0))
    store.close()
    return [*found, process.getUploadOffset(0)]


class Steps(omero.callbacks.CmdCallbackI):
    """Notes how far the server says it is."""

    def __init__(self, *args: Any) -> None:
        self.steps: list[list[int]] = []
        super().__init__(*args)

    def step(self, complete: int, total: int, current: Any = None) -> None:
        self.steps.append([complete, total])


def import_steps(who: str, path: str) -> dict[str, Any]:
    """Import a file; return what the callback was told, and the status afterwards."""
    process, sha1 = uploaded(CLIENTS[who], Path(path), fileset("run/x.ome.tif"), settings(None))
    handle = process.verifyUpload([sha1])
    callback = Steps(CLIENTS[who], handle)
    callback.loop(600, 100)
    status = handle.getStatus()
    told = sorted(callback.steps)
    callback.close(True)
    process.close()
    return {"told": told, "current": status.currentStep, "steps": status.steps}


def attach(who: str, name: str, content: str, ns: str) -> list[Any]:
    made = attached(CLIENTS[who], name, content.encode(), ns)
    return [made.id.val, made.file.id.val]


def raw_file(who: str, number: int, *steps: list[Any], group: str = "") -> list[Any]:
    """Do operations on one RawFileStore; bytes are hexadecimal."""
    store = CLIENTS[who].sf.createRawFileStore()
    store.setFileId(number, _context(who, group))
    found = []
    for operation, *args in steps:
        sent = [bytes.fromhex(a) if isinstance(a, str) else a for a in args]
        answer = getattr(store, operation)(*sent)
        if isinstance(answer, bytes):
            answer = answer.hex()
        elif isinstance(answer, omero.model.OriginalFile):
            answer = [answer.size.val, unwrap(answer.hash)]
        found.append(answer)
    return found


def new_file(who: str, name: str, hashed: bool = True) -> int:
    file = omero.model.OriginalFileI()
    file.name, file.path = rstring(name), rstring("smlm/")
    if hashed:
        file.hasher = hasher()
    return int(CLIENTS[who].sf.getUpdateService().saveAndReturnObject(file).id.val)


def tables(who: str) -> Any:
    resources = CLIENTS[who].sf.sharedResources()
    return [resources.areTablesEnabled(), resources.newTable(0, "t.h5") is not None]


def raw_rate(who: str, n_bytes: int, block: int) -> list[Any]:
    """Write so many bytes in blocks; return size and SHA-1 as the server has them, and ours."""
    number = new_file(who, "big")
    store = CLIENTS[who].sf.createRawFileStore()
    store.setFileId(number)
    digest = hashlib.sha1()
    for start in range(0, n_bytes, block):
        part = os.urandom(min(block, n_bytes - start))
        digest.update(part)
        store.write(part, start, len(part))
    saved = store.save()
    store.close()
    return [saved.size.val, saved.hash.val == digest.hexdigest()]


def _context(who: str, group: str) -> dict[str, str] | None:
    return CLIENTS[who].getContext(group) if group else None


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            result = globals()[asked.pop("do")](*asked.pop("args", []), **asked)
            answer = {"result": result}
        except Ice.Exception as error:
            text = getattr(error, "message", "") or getattr(error, "reason", "")
            answer = {"error": type(error).__name__, "message": text}
            if isinstance(error, omero.ChecksumValidationException):
                answer["failing"] = error.failingChecksums
        except Exception as error:  # noqa: BLE001 - a slip of the test's own: it fails there, and the probe goes on
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer, default=str), flush=True)
    for client in CLIENTS.values():
        client.__del__()


main()
