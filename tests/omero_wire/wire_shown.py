"""Values and objects of omero-py as JSON, and back: what wire_probe.py answers and is asked with."""

from typing import Any

import omero
import omero.cmd
from omero.rtypes import rint, rlist, rlong, rstring, unwrap
from omero.sys import Filter, ParametersI


def response(found: Any) -> Any:
    if isinstance(found, omero.cmd.ERR):
        return {"err": found.name, "category": found.category, **found.parameters}
    if isinstance(found, omero.grid.ImportResponse):
        return {"images": [image.id.val for image in found.objects]}
    return {"deleted": found.deletedObjects}


def parameters(params: dict[str, Any], page: list[int] | None) -> Any:
    made = ParametersI()
    for name, value in params.items():
        made.map[name] = _wrapped(value)
    if page is not None:
        made.theFilter = Filter()
        made.theFilter.offset, made.theFilter.limit = rint(page[0]), rint(page[1])
    return made


def _wrapped(value: Any) -> Any:
    if isinstance(value, list):
        return rlist([_wrapped(v) for v in value])
    return rlong(value) if isinstance(value, int) else rstring(value)


def plain(value: Any) -> Any:
    value = unwrap(value) if isinstance(value, omero.RType) else value
    if isinstance(value, omero.model.IObject):
        return graph(value, 1)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def graph(thing: Any, depth: int) -> Any:
    if thing is None:
        return None
    kind = type(thing).__name__.removesuffix("I")
    if not thing.isLoaded():
        return f"{kind}:{thing.id.val}"
    found: dict[str, Any] = {"kind": kind, "id": thing.id.val}
    for field in thing.__dict__:
        if field.endswith("Seq") and thing.__dict__[f"{field[:-3]}Loaded"] and depth:
            found[field[1:-3]] = [graph(v, depth - 1) for v in thing.__dict__[field]]
        elif isinstance(thing.__dict__[field], omero.model.IObject) and depth:
            found[field[1:]] = graph(thing.__dict__[field], depth - 1)
    if thing.__dict__.get("_name") is not None:
        found["name"] = thing.name.val
    return found
