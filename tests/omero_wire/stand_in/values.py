"""Values of fields, between the objects of omero-py and the rows of the store."""

from typing import Any

import omero
from omero.model import IObject
from omero.rtypes import rbool, rdouble, rint, rlist, rlong, robject, rstring, rtime, unwrap

from .model import Kind
from .store import Pair, Quantity


def pairs_of(values: Any) -> tuple[Pair, ...]:
    """Return what a list of NamedValue holds."""
    return tuple(Pair(v.name, v.value) for v in values if v is not None)


def plain(value: Any) -> Any:
    """Return what a field that refers to no object holds, as the store keeps it."""
    if value is None:
        return None
    if isinstance(value, omero.RType):
        return unwrap(value)
    if isinstance(value, list):
        if not all(v is None or isinstance(v, omero.model.NamedValue) for v in value):
            raise omero.InternalException(message=f"the stand-in keeps no lists of {type(value[0]).__name__}")
        return pairs_of(value)
    if hasattr(value, "getUnit"):
        return Quantity(type(value).__name__, value.getValue(), str(value.getUnit()))
    raise omero.InternalException(message=f"the stand-in keeps no {type(value).__name__}")


def wrapped(kind: Kind, field: str, value: Any) -> Any:
    """Return a value of a row as the field of an object holds it; references excepted."""
    if value is None:
        return None
    if isinstance(value, tuple) and all(isinstance(v, Pair) for v in value) and not isinstance(value, Quantity):
        return [omero.model.NamedValue(p.name, p.value) for p in value]
    if isinstance(value, Quantity):
        return quantity(value)
    return kind.wrappers[field](value)


def quantity(value: Quantity) -> Any:
    """Return a quantity as omero-py's object."""
    return getattr(omero.model, value.cls)(value.value, value.unit)


def projected(value: Any) -> Any:
    """Return what a query selected, as an RType (`IceMapper.toRType`)."""
    if value is None or isinstance(value, omero.RType):
        return value
    if isinstance(value, bool):
        return rbool(value)
    if isinstance(value, int):
        return rlong(value)
    if isinstance(value, float):
        return rdouble(value)
    if isinstance(value, str):
        return rstring(value)
    if isinstance(value, IObject):
        return robject(value)
    if isinstance(value, list):
        return rlist([projected(v) for v in value])
    raise omero.InternalException(message=f"the stand-in projects no {type(value).__name__}")


def typed(kind: Kind, field: str, value: Any) -> Any:
    """Return a selected field as the RType it has in the model, so that an rint stays one and a time too."""
    wrapper = rint if field == "version" else kind.wrappers.get(field)
    if value is None or wrapper not in (rint, rtime, rlong, rstring, rbool, rdouble):
        return value
    return wrapper(value)
