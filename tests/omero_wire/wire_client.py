"""What the test programs that run beside omero-py share: connecting, importing and attaching by its raw interface."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import omero
import omero.callbacks
import omero.clients
from omero.model import (
    ChecksumAlgorithmI,
    DatasetI,
    FileAnnotationI,
    FilesetEntryI,
    FilesetI,
    MapAnnotationI,
    NamedValue,
    OriginalFileI,
    UploadJobI,
)
from omero.rtypes import rbool, rstring

SHA1 = "SHA1-160"


def connected(url: str, user: str = "ada", password: str = "secret", **properties: str) -> Any:
    """Return a client that is logged in."""
    client = omero.client(host=url, pmap={k.replace("__", "."): v for k, v in properties.items()})
    try:
        client.createSession(user, password)
    except Exception:  # raised again: whatever it was, the threads of a client that nobody gets must end
        client.__del__()
        raise
    return client


def pairs(ns: str, **values: str) -> Any:
    """Return a new map annotation."""
    made = MapAnnotationI()
    made.ns = rstring(ns)
    made.mapValue = [NamedValue(k, v) for k, v in values.items()]
    return made


def hasher() -> Any:
    """Return the algorithm by its name, as a client does."""
    made = ChecksumAlgorithmI()
    made.value = rstring(SHA1)
    return made


def fileset(*paths: str) -> Any:
    """Return a fileset of these client paths with its one job."""
    made = FilesetI()
    for path in paths:
        entry = FilesetEntryI()
        entry.clientPath = rstring(path)
        made.addFilesetEntry(entry)
    made.linkJob(UploadJobI())
    return made


def settings(dataset: int | None, name: str = "", annotations: list[Any] | None = None) -> Any:
    """Return the settings of an import without a scan of every plane."""
    made = omero.grid.ImportSettings()
    made.checksumAlgorithm = hasher()
    made.noStatsInfo = rbool(True)
    if dataset is not None:
        made.userSpecifiedTarget = DatasetI(dataset, False)
    if name:
        made.userSpecifiedName = rstring(name)
    made.userSpecifiedAnnotationList = annotations or []
    return made


def uploaded(client: Any, path: Path, what: Any, how: Any, block: int = 1 << 20) -> Any:
    """Send one file as a fileset; return the import process and the file's SHA-1."""
    process = client.getManagedRepository().importFileset(what, how)
    store = process.getUploader(0)
    data = path.read_bytes()
    for start in range(0, len(data), block):
        part = data[start : start + block]
        store.write(part, start, len(part))
    store.close()
    return process, hashlib.sha1(data).hexdigest()


def waited(client: Any, handle: Any) -> Any:
    """Return the response of a handle."""
    callback = omero.callbacks.CmdCallbackI(client, handle)
    try:
        callback.loop(600, 100)
        return callback.getResponse()
    finally:
        callback.close(True)


def imported(client: Any, path: Path, dataset: int | None = None, name: str = "", **marker: str) -> int:
    """Import one file; return the id of its image."""
    process, sha1 = uploaded(
        client,
        path,
        fileset(f"run/{path.name}"),
        settings(dataset, name, [pairs("marker", **marker)] if marker else []),
    )
    response = waited(client, process.verifyUpload([sha1]))
    if isinstance(response, omero.cmd.ERR):
        raise RuntimeError(f"{response.name} {response.parameters}")
    process.close()
    return int(response.objects[0].id.val)


def attached(client: Any, name: str, content: bytes, ns: str) -> Any:
    """Upload a file and return the annotation that holds it, not linked yet."""
    file = OriginalFileI()
    file.name, file.path, file.mimetype = rstring(name), rstring("smlm/"), rstring("text/csv")
    file.hasher = hasher()
    file = client.sf.getUpdateService().saveAndReturnObject(file)
    store = client.sf.createRawFileStore()
    store.setFileId(file.id.val)
    store.write(content, 0, len(content))
    saved = store.save()
    store.close()
    made = FileAnnotationI()
    made.ns, made.file = rstring(ns), saved.proxy()
    return client.sf.getUpdateService().saveAndReturnObject(made)


def finish(found: dict[str, Any], *clients: Any) -> None:
    """Print what was found and end the clients."""
    print(json.dumps(found))
    sys.stdout.flush()
    for client in clients:
        client.__del__()
