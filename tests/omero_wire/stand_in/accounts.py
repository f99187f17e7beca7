"""Users, groups and enumerations that are there before anybody logs in."""

from dataclasses import dataclass, field
from typing import Any

from .model import kinds
from .store import Store

ENUMERATIONS = {
    "PixelsType": ("bit", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float", "double", "complex"),
    "DimensionOrder": ("XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"),
    "ChecksumAlgorithm": ("SHA1-160", "MD5-128", "Murmur3-128", "Murmur3-32", "CRC-32", "Adler-32", "File-Size-64"),
    "Format": ("OMETiff", "TiffDelegate", "omero"),
    "JobStatus": ("Submitted", "Queued", "Running", "Finished", "Error", "Waiting", "Cancelled"),
    "EventType": ("Import", "Internal", "User", "Task", "Sessions"),
    "RenderingModel": ("rgb", "greyscale"),
    "Family": ("linear", "polynomial", "exponential", "logarithmic"),
    "PhotometricInterpretation": ("Monochrome", "RGB"),
    "AcquisitionMode": ("TotalInternalReflection", "SingleMoleculeImaging", "STORM", "PALM", "Other"),
    "Illumination": ("Epifluorescence", "Other"),
    "ContrastMethod": ("Fluorescence", "Other"),
    "Immersion": ("Oil", "Water", "Air", "Other"),
    "Correction": ("Apochromat", "PlanApo", "Other"),
    "Medium": ("Oil", "Water", "Air", "Other"),
    "MicroscopeType": ("Inverted", "Upright", "Other"),
    "DetectorType": ("CCD", "EMCCD", "CMOS", "Other"),
    "ExperimentType": ("Other", "SPIM", "PGIDocumentation"),
}
"""Some of the values of omero-model's `psql-enums.sql`: those that images of a microscope like ours need."""
GROUPS = {
    "system": "rw----",
    "user": "rwr-r-",
    "guest": "rw----",
    "lab": "rwr---",
    "annotators": "rwra--",
    "common": "rwrw--",
    "private": "rw----",
    "elsewhere": "rwr---",
}
USERS = {
    "root": ("omero", ("system", "user")),
    "guest": ("guest", ("guest",)),
    "ada": ("secret", ("lab", "annotators", "common", "private", "user")),
    "bob": ("secret", ("lab", "annotators", "common", "private", "user")),
    "carol": ("secret", ("elsewhere", "user")),
}
"""Password and groups of each user; the first group is the default one. Ids count from 0, as on a server."""


@dataclass
class Accounts:
    """Who there is."""

    passwords: dict[str, str] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    modes: dict[int, str] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    leaders: dict[int, frozenset[int]] = field(default_factory=dict)

    def group(self, name_or_id: str) -> int | None:
        """Return the id of a group by its name or its number, -1 for all, None where there is none."""
        if name_or_id.lstrip("-").isdigit():
            number = int(name_or_id)
            return number if number in self.modes or number == -1 else None
        return self.groups.get(name_or_id)

    def name_of(self, user: int) -> str:
        """Return a user's name."""
        return next(name for name, number in self.users.items() if number == user)

    def group_name(self, group: int) -> str:
        """Return a group's name."""
        return next(name for name, number in self.groups.items() if number == group)


def set_up(store: Store) -> Accounts:
    """Put enumerations, groups and users into an empty store."""
    for kind, values in ENUMERATIONS.items():
        for value in values:
            extra = {"bitSize": 16} if "bitSize" in kinds()[kind].fields else {}
            store.insert(kind, {"value": value, **extra})
    made = Accounts()
    store.first_id("ExperimenterGroup", 0)
    store.first_id("Experimenter", 0)
    for name, mode in GROUPS.items():
        row = store.insert("ExperimenterGroup", {"name": name, "ldap": False, "description": f"group {name}"})
        made.groups[name], made.modes[row.id] = row.id, mode
    for name, (password, groups) in USERS.items():
        person: dict[str, Any] = {"omeName": name, "firstName": name.title(), "lastName": "Test", "ldap": False}
        row = store.insert("Experimenter", person)
        made.passwords[name], made.users[name] = password, row.id
        made.members[row.id] = [made.groups[g] for g in groups]
        made.leaders[row.id] = frozenset()
        for g in groups:
            group = store.find("ExperimenterGroup", name=g)
            assert group is not None
            store.insert("GroupExperimenterMap", {"parent": group.ref, "child": row.ref, "owner": False})
    return made
