"""Delete2: what goes with an object, and what keeps it (omero-blitz, `graph-rules/blitz-delete-rules.xml`).

Links go with either end, whoever made them. What only the deleted objects held goes too, where the caller may delete
it: the images of a dataset that are in no other; a map whose last link goes; a file or tag annotation whose last
annotated object of the same owner goes; the file of an annotation, and the annotations of a file; a fileset with all
its images.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

from .access import Caller
from .model import kind_called, kinds
from .store import Ref, Row

if TYPE_CHECKING:
    from .server import Server

OWNED_BY_FIELD = {
    ("Pixels", "image"),
    ("Channel", "pixels"),
    ("PlaneInfo", "pixels"),
    ("RenderingDef", "pixels"),
    ("Thumbnail", "pixels"),
    ("PixelsOriginalFileMap", "child"),
    ("FilesetEntry", "fileset"),
    ("FilesetJobLink", "parent"),
    ("Roi", "image"),
    ("Image", "fileset"),
}
"""Rows that go with what the field refers to."""
HELD = {
    "Channel": ("statsInfo", "logicalChannel"),
    "FilesetEntry": ("originalFile",),
    "FilesetJobLink": ("child",),
    "FileAnnotation": ("file",),
}
"""Fields whose object goes with the row where nobody else refers to it, regardless of permissions."""
CONTAINERS = frozenset(("ProjectDatasetLink", "DatasetImageLink"))
WITH_ITS_LINK = frozenset(("BasicAnnotation", "CommentAnnotation", "ListAnnotation", "MapAnnotation", "XmlAnnotation"))
"""Annotations that go with their last link."""
WITH_ITS_OBJECT = frozenset(("FileAnnotation", "TagAnnotation"))
"""Annotations that go with the last annotated object, if that has the same owner."""


class GraphError(Exception):
    """The deletion would break something that stays (`GraphException`)."""


class Deleting:
    """One request: finds everything that goes, checks it, then removes it. `kept` kinds stay also as orphans."""

    def __init__(self, server: "Server", caller: Caller, kept: set[str]) -> None:
        self._kept = kept
        self._server = server
        self._store = server.store
        self._caller = caller
        self._gone: dict[Ref, Row] = {}

    def delete(self, targets: dict[str, list[int]], dry_run: bool) -> dict[str, list[int]]:
        """Delete objects by class and id; return the ids of everything that went, by full class name.

        With `dry_run` nothing goes.

        Raises
        ------
        GraphError
            One is not there or may not be deleted, or something that stays refers to one.
        """
        for name, numbers in targets.items():
            kind = kind_called(name)
            if kind is None:
                raise GraphError(f"unknown class: {name}")
            root = next(k.root for k in kinds().values() if kind in k.lineage)
            for number in numbers:
                row = self._store.get(Ref(root, number))
                if row is None or not self._caller.may_read(row):
                    raise GraphError(f"cannot read all the specified objects of class {name}")
                self._add(row)
        self._check()
        if not dry_run:
            self._remove()
        deleted: dict[str, list[int]] = defaultdict(list)
        for row in self._gone.values():
            deleted[row.model.java].append(row.id)
        return {name: sorted(ids) for name, ids in deleted.items()}

    def _remove(self) -> None:
        with self._store.transaction():
            for ref in self._gone:
                self._store.remove(ref)
        for row in self._gone.values():
            if row.kind == "OriginalFile":
                self._server.disk.path(row).unlink(missing_ok=True)

    def _add(self, row: Row, whoever: bool = False) -> None:
        """Take a row with everything that goes with it; `whoever` it belongs to, or the caller must be allowed."""
        if row.ref in self._gone:
            return
        if not whoever and not self._caller.may_change(row):
            raise GraphError(f"not permitted to delete {row.model.java}:Id_{row.id}")
        self._gone[row.ref] = row
        for user, field in self._store.users(row.ref):
            if (user.kind, field) in OWNED_BY_FIELD:
                self._add(user)
            elif user.model.is_link and field in ("parent", "child"):
                self._gone[user.ref] = user
            elif user.kind == "FileAnnotation" and field == "file":
                self._add(user, whoever=True)
        for link in self._links_of(row):
            self._consider(link, row if link["parent"] == row.ref else None)
        if row.model.is_link:
            self._consider(row, None)
        for field in HELD.get(row.kind, ()):
            held = self._store.get(row[field])
            if held is not None and self._is_orphan(held):
                self._add(held, whoever=True)
        if row.kind == "Image":
            self._consider_fileset(row)

    def _links_of(self, row: Row) -> list[Row]:
        return [user for user, field in self._store.users(row.ref) if user.model.is_link and field == "parent"]

    def _consider(self, link: Row, parent: Row | None) -> None:
        """Take what a link held, if nothing else does; `parent` is what goes with it, None where only the link goes."""
        held = self._store.require(link["child"])
        lineage = set(held.model.lineage)
        if link.kind in CONTAINERS:
            goes = parent is not None
        elif link.kind.endswith("AnnotationLink"):
            goes = bool(lineage & WITH_ITS_LINK)
            goes |= parent is not None and bool(lineage & WITH_ITS_OBJECT) and parent.owner == held.owner
        else:
            goes = False
        basic = bool(lineage & {"BasicAnnotation", "CommentAnnotation"})
        if goes and self._is_orphan(held) and (basic or self._caller.may_change(held)):
            self._add(held, whoever=basic)

    def _is_orphan(self, row: Row) -> bool:
        """Whether nothing that stays holds a row, and rows of its kind need not be kept."""
        if self._kept & set(row.model.lineage):
            return False
        for user, field in self._store.users(row.ref):
            own = field == "parent" or (user.kind, field) in OWNED_BY_FIELD
            if user.ref not in self._gone and not own:
                return False
        return True

    def _consider_fileset(self, image: Row) -> None:
        fileset = self._store.get(image["fileset"])
        if fileset is not None:
            images = self._store.referring(fileset.ref, "Image", "fileset")
            if all(other.ref in self._gone for other in images):
                self._add(fileset)

    def _check(self) -> None:
        for row in self._gone.values():
            if row.kind == "Image" and row["fileset"] is not None and row["fileset"] not in self._gone:
                images = self._store.referring(row["fileset"], "Image", "fileset")
                stays = next(image.id for image in images if image.ref not in self._gone)
                within = f"within Fileset[{row['fileset'].id}]"
                raise GraphError(f"{within} may not delete Image[{row.id}] while Image[{stays}] remains")
            for user, _ in self._store.users(row.ref):
                if user.ref not in self._gone:
                    raise GraphError(f"may not delete {row.kind}[{row.id}] while {user.kind}[{user.id}] remains")
