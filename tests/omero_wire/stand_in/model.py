"""The OMERO model, read off the classes that omero-py generates from it: kinds, fields, collections, back references.

The classes are made from omero-model's mappings (ome/omero-dsl-plugin, `object.vm` and `combined.vm`), so that nothing
of the model is written down here twice.
"""

import inspect
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import omero
import omero.all
from omero.model import IObject

GLOBAL = frozenset(
    ("Experimenter", "ExperimenterGroup", "GroupExperimenterMap", "Session", "Node", "Event", "EventLog", "DBPatch")
)
"""Kinds that no group owns (omero-server, `SecuritySystem.isSystemType`); enumerations are the others."""


@dataclass(frozen=True)
class Collection:
    """A field that holds the objects of `child` whose field `back` is this one."""

    child: str
    back: str


@dataclass(frozen=True)
class Kind:
    """One class of the model, such as Image.

    Attributes
    ----------
    lineage : tuple of str
        This kind and those it is one of, such as ("MapAnnotation", "Annotation").
    fields : dict
        Name of each field that holds a value or one object, and whether it may be empty.
    wrappers : dict
        What turns a Python value into the RType of the field.
    collections : dict
        Name of each field that holds many objects.
    java : str
        Its name on the server, such as ome.model.core.Image.
    """

    name: str
    cls: Any
    lineage: tuple[str, ...]
    fields: dict[str, bool]
    wrappers: dict[str, Any]
    collections: dict[str, Collection]
    java: str

    @property
    def root(self) -> str:
        """Name of the table whose ids it shares."""
        return self.lineage[-1]

    @property
    def is_link(self) -> bool:
        """Whether it joins a parent and a child."""
        return self.name.endswith("Link") and {"parent", "child"} <= self.fields.keys()

    @property
    def is_enumeration(self) -> bool:
        """Whether its objects are told apart by their value alone."""
        return "value" in self.fields and self.fields.keys() <= {"value", "bitSize"}

    @property
    def is_global(self) -> bool:
        """Whether it belongs to no group."""
        return self.is_enumeration or self.name in GLOBAL


class _Recorder:
    """Stands for an element while it is added, to see where it goes and what is set on it."""

    def __init__(self) -> None:
        self.back = ""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("set"):
            raise AttributeError(name)

        def record(value: object) -> None:
            self.back = name[3].lower() + name[4:]

        return record


@cache
def kinds() -> dict[str, Kind]:
    """Return every class of the model that can be made, by its name."""
    found = {}
    for name in dir(omero.model):
        cls = getattr(omero.model, name)
        if name.endswith("I") and hasattr(cls, "_field_info") and issubclass(cls, IObject):
            if hasattr(cls, "deprecations_warned"):  # two say so on stderr, whatever filters are set, when one is made
                cls.deprecations_warned.add(name[:-1])
            found[name[:-1]] = _read(name[:-1], cls)
    return found


@lru_cache(maxsize=1024)
def kind_called(name: str) -> str | None:
    """Return the model's name of a class as a query or a request calls it (also its full Java name), or None."""
    known = _names()
    short = name.rsplit(".", 1)[-1].removeprefix("omero::model::")
    short = short.removeprefix("::")
    return short if short in known else short.removesuffix("I") if short.removesuffix("I") in known else None


@cache
def _names() -> frozenset[str]:
    return frozenset(name for kind in kinds().values() for name in kind.lineage)


@cache
def types_of(name: str) -> dict[str, str]:
    """Return the field names of any object of a kind, also an abstract one, with the type of each.

    The type is the name of a kind, of a unit's class (Length), of an RType (RString), or NamedValueList. Fields that
    only some of its subclasses have are among them, as in Hibernate's property mapping.
    """
    types = {"id": "RLong"}
    for kind in kinds().values():
        if name in kind.lineage:
            for one in kind.lineage:
                types.update(_declared(one))
            types.update({field: c.child for field, c in kind.collections.items()})
    return types


@cache
def _declared(name: str) -> dict[str, str]:
    """Return the single fields that the generated Slice class of one name declares, with their types."""
    source = Path(inspect.getfile(omero)).parents[1] / f"omero_model_{name}_ice.py"
    text = source.read_text(encoding="utf-8")
    text = text[text.index(f"_t_{name} = IcePy.defineClass(") :]
    text = text[: text.index(f"{name}._ice_type")]
    return {f: t for f, t in re.findall(r"\('_(\w+)', \(\), _M_omero[.\w]*\._t_(\w+)", text) if not f.endswith("Seq")}


def kind_of(thing: Any) -> Kind:
    """Return the kind of an object of the model."""
    return kinds()[type(thing).__name__.removesuffix("I")]


def _read(name: str, cls: Any) -> Kind:
    empty = cls()
    collections = _collections(cls)
    fields, wrappers = {}, {}
    for field, info in zip(cls._field_info._fields, cls._field_info, strict=True):
        if field == "details" or f"_{field}Seq" in empty.__dict__:
            continue
        fields[field], wrappers[field] = info.nullable, info.wrapper
    lineage = tuple(c.__name__ for c in cls.__mro__[1:] if issubclass(c, IObject) and c is not IObject)
    constant = next(value for key, value in vars(cls).items() if key.isupper() and isinstance(value, str))
    return Kind(name, cls, lineage, fields, wrappers, collections, constant.rsplit("_", 1)[0])


def _collections(cls: Any) -> dict[str, Collection]:
    found = {}
    for name in dir(cls):
        if not name.startswith("add") or name.startswith("addAll") or name.endswith("ToBoth"):
            continue
        empty, element = cls(), _Recorder()
        getattr(empty, name)(element)
        for key, value in empty.__dict__.items():
            if key.endswith("Seq") and element in value:
                found[key[1:-3]] = Collection(name.removeprefix("add"), element.back)
    return found
