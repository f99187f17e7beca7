"""What is asked of OMERO, in Hibernate's query language, with names of OMERO's model."""

from __future__ import annotations

MARKED = (
    "select l.parent.id from {kind}AnnotationLink l join l.child a join a.mapValue b join a.mapValue r "
    "where a.ns = :ns and a.details.owner.id = :owner "
    "and b.name = 'bundle' and b.value = :uuid and r.name = 'role' and r.value = :role order by l.parent.id"
)
"""The datasets or images with a marker of ours."""

PROJECT = "select p.id from Project p where p.name = :name and p.details.owner.id = :owner order by p.id"

DATASET = (
    "select d.id from ProjectDatasetLink l join l.parent p join l.child d "
    "where p.name = :project and d.name = :name and p.details.owner.id = :owner and d.details.owner.id = :owner "
    "order by d.id"
)

IMPORTED = (
    "select f.id, i.id from Fileset f join f.usedFiles e left outer join f.images i "
    "where e.clientPath = :path and f.details.owner.id = :owner order by f.id"
)
"""The filesets of a client path, each with its image or none."""

PIXELS = (
    "select p.sizeX, p.sizeY, p.sizeZ * p.sizeC * p.sizeT, t.value from Pixels p join p.pixelsType t "
    "where p.image.id = :image"
)

PIXELS_ID = "select p.id from Pixels p where p.image.id = :image"

RANGE = (
    "select s.globalMin, s.globalMax from Channel c join c.statsInfo s where c.pixels.image.id = :image order by c.id"
)

ATTACHED = (
    "select a.id from FileAnnotation a join a.file f where f.path = :path and f.name = :name and f.hash = :sha1 "
    "and f.size = :size and a.details.owner.id = :owner order by a.id"
)

TABLE = (
    "select a.id from FileAnnotation a join a.file f where f.name = :name and f.mimetype = 'OMERO.tables' "
    "and a.details.owner.id = :owner order by a.id"
)

DEBRIS = (
    "select f.id from OriginalFile f where f.path = :path and f.name = :name and f.details.owner.id = :owner "
    "and not exists (select a.id from FileAnnotation a where a.file.id = f.id)"
)
"""The files that an upload has left that was killed before it came to their annotation."""

LINKED = (
    "select l.id from {kind}AnnotationLink l "
    "where l.parent.id = :parent and l.child.id = :child and l.details.owner.id = :owner"
)
"""A link is the only one between two things for each owner."""

PAIRS = (
    "select a.id from {kind}AnnotationLink l join l.child a "
    "where l.parent.id = :parent and a.ns = :ns and a.description = :mark and a.details.owner.id = :owner"
)
"""Pairs that we made, whatever people have written into them since: the description is not shown."""

TAG = "select t.id, t.details.owner.id from TagAnnotation t where t.textValue = :text order by t.id"

DATASET_OF = "select l.parent.id from DatasetImageLink l where l.child.id = :image order by l.id"

FILES = (
    "select o.id, o.name, o.size, o.hash from Fileset f join f.images i join f.usedFiles e join e.originalFile o "
    "where i.id = :image order by e.id"
)

ATTACHMENTS = (
    "select f.id, f.name, f.size, f.hash from ImageAnnotationLink l join l.child a join a.file f "
    "where l.parent.id = :image order by a.id desc"
)
