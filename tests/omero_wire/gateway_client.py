"""Runs beside omero-py: BlitzGateway as it is, against a server with one imported image and what hangs on it."""

import sys
from pathlib import Path

import omero
from omero.gateway import BlitzGateway, MapAnnotationWrapper
from omero.model import DatasetI, ProjectDatasetLinkI, ProjectI
from omero.rtypes import rstring
from wire_client import attached, connected, finish, imported, pairs

CLIENT = "openmicroscopy.org/omero/client/mapAnnotation"


def main(url: str, stack: Path, recon: Path) -> None:
    client = connected(url)
    link = ProjectDatasetLinkI()
    link.parent, link.child = ProjectI(), DatasetI()
    link.parent.name, link.child.name = rstring("SMLM"), rstring("2026-11-21")
    saved = client.sf.getUpdateService().saveAndReturnObject(link)
    project_id, dataset_id = saved.parent.id.val, saved.child.id.val
    raw_id = imported(client, stack, dataset_id, bundle="5f1c", role="raw")
    recon_id = imported(client, recon, dataset_id, bundle="5f1c", role="reconstruction")
    table = attached(client, "locs.csv", b"x,y\n1,2\n" * 5000, "locstream")
    conn = BlitzGateway(client_obj=client)
    assert conn.connect()
    raw, recon = conn.getObject("Image", raw_id), conn.getObject("Image", recon_id)
    for image in (raw, recon):
        image.linkAnnotation(omero.gateway.FileAnnotationWrapper(conn, table))
    for image, value in ((raw, ("Reconstruction", f"Image:{recon_id}")), (recon, ("Raw data", f"Image:{raw_id}"))):
        made = MapAnnotationWrapper(conn)
        made.setNs(CLIENT)
        made.setValue([list(value)])
        made.save()
        image.linkAnnotation(made)
    conn.close(hard=True)

    conn = BlitzGateway("bob", "secret", host=url, secure=True)
    assert conn.connect()
    found = {"user": conn.getUser().getName(), "group": conn.getGroupFromContext().getName()}
    image = conn.getObject("Image", raw_id)
    found["image"] = [image.getName(), image.getSizeX(), image.getSizeY(), image.getSizeT(), image.getPixelsType()]
    found["pixel_um"] = image.getPixelSizeX()
    found["owner"] = image.getOwnerOmeName()
    found["may"] = [image.canEdit(), image.canLink(), image.canAnnotate(), image.canDelete()]
    found["parent"] = [image.getParent().getName(), image.getProject().getName()]
    pairs_found = {a.getNs(): a.getValue() for a in image.listAnnotations() if isinstance(a, MapAnnotationWrapper)}
    found["pairs"] = pairs_found
    other = int(dict(pairs_found[CLIENT])["Reconstruction"].partition(":")[2])
    back = conn.getObject("Image", other)
    found["there"] = back.getId() == recon_id
    found["back"] = back.getAnnotation(CLIENT).getValue()
    file = next(a for a in back.listAnnotations(ns="locstream"))
    content = b"".join(file.getFileInChunks())
    found["file"] = [file.getFileName(), file.getFileSize(), content == b"x,y\n1,2\n" * 5000]
    found["dataset"] = [i.getId() for i in conn.getObjects("Image", opts={"dataset": dataset_id, "order_by": "obj.id"})]
    found["by_name"] = [i.getId() for i in conn.getObjects("Image", attributes={"name": image.getName()})]
    found["page"] = [i.getId() for i in conn.getObjects("Image", opts={"limit": 1, "offset": 1, "order_by": "obj.id"})]
    found["children"] = sorted({i.getId() for i in conn.getObject("Dataset", dataset_id).listChildren()})
    found["count"] = conn.getObject("Dataset", dataset_id).countChildren()
    found["datasets"] = [d.getName() for d in conn.getObject("Project", project_id).listChildren()]
    found["projects"] = [p.getName() for p in conn.listProjects()]
    annotation = image.getAnnotation(CLIENT)
    found["map_by_id"] = conn.getObject("MapAnnotation", annotation.getId()).getValue()
    found["files"] = [a.getId() for a in conn.getObjects("FileAnnotation", attributes={"ns": "locstream"})]
    found["links"] = len(list(conn.getAnnotationLinks("Image", parent_ids=[raw_id])))
    found["imported_files"] = [f.getName() for f in image.getImportedImageFiles()]
    found["fileset"] = [i.getId() for i in image.getFileset().copyImages()]
    conn.SERVICE_OPTS.setOmeroGroup("-1")
    found["everywhere"] = conn.getObject("Image", raw_id).getId() == raw_id
    conn.SERVICE_OPTS.setOmeroGroup(None)
    try:
        conn.getObject("Image", raw_id).linkAnnotation(MapAnnotationWrapper(conn, pairs("x", a="b")))
        found["annotated"] = "yes"
    except omero.SecurityViolation as error:
        found["annotated"] = error.message
    found["nothing"] = conn.getObject("Image", 9999) is None
    found["alive"] = conn.keepAlive()
    conn.close()

    conn = BlitzGateway("ada", "secret", host=url, secure=True)
    assert conn.connect()
    conn.deleteObjects("Image", [recon_id], wait=True)
    found["after_delete"] = [i.getId() for i in conn.getObjects("Image", opts={"dataset": dataset_id})]
    found["wrong"] = BlitzGateway("ada", "wrong", host=url, secure=True).connect()
    conn.close()
    finish(found)


main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
