"""Runs beside ezomero: it as it is, finding the reconstruction of a raw stack, its files and its table."""

import hashlib
import sys
import tempfile
from pathlib import Path

import ezomero
import numpy as np
import omero
import tifffile
from omero.grid import DoubleColumn, LongColumn
from omero.model import FileAnnotationI, ImageAnnotationLinkI, ImageI
from omero.rtypes import rstring
from wire_client import attached, finish, imported

CLIENT = "openmicroscopy.org/omero/client/mapAnnotation"
ROWS = 1000


def main(url: str, stack: Path, recon: Path) -> None:
    host, _, port = url.partition("://")[2].rpartition(":")
    conn = ezomero.connect(
        "ada", "secret", "lab", host=f"{url.partition(':')[0]}://{host}", port=int(port), secure=True
    )
    assert conn is not None
    project = ezomero.post_project(conn, "SMLM", "all of it")
    dataset = ezomero.post_dataset(conn, "2026-11-21", project, "one day")
    raw = imported(conn.c, stack, dataset, bundle="5f1c")
    rec = imported(conn.c, recon, dataset, bundle="5f1c")
    ezomero.post_map_annotation(conn, "Image", raw, {"Reconstruction": f"Image:{rec}"}, CLIENT)
    ezomero.post_map_annotation(conn, "Image", rec, {"Raw data": f"Image:{raw}"}, CLIENT)
    content = b"frame,x\n0,1\n" * 1000
    link(conn, rec, attached(conn.c, "locs.csv", content, "locstream"))
    link(conn, rec, table(conn))

    found = {"image_ids": ezomero.get_image_ids(conn, dataset=dataset)}
    found["projects"] = ezomero.get_project_ids(conn)
    found["datasets"] = ezomero.get_dataset_ids(conn, project=project)
    image, pixels = ezomero.get_image(conn, raw, no_pixels=True)
    found["image"] = [image.getName(), pixels is None]
    frames = tifffile.imread(stack)
    _, pixels = ezomero.get_image(conn, raw)
    found["pixels"] = [list(pixels.shape), bool((pixels[:, 0, :, :, 0] == frames).all())]
    plane = conn.getObject("Image", raw).getPrimaryPixels().getPlane(0, 0, 3)
    found["plane"] = bool((plane == frames[3]).all())
    (annotation,) = ezomero.get_map_annotation_ids(conn, "Image", raw, ns=CLIENT)
    there = ezomero.get_map_annotation(conn, annotation)
    found["there"] = there == {"Reconstruction": f"Image:{rec}"}
    (annotation,) = ezomero.get_map_annotation_ids(conn, "Image", rec, ns=CLIENT)
    found["back"] = ezomero.get_map_annotation(conn, annotation) == {"Raw data": f"Image:{raw}"}
    found["kept"] = ezomero.put_map_annotation(conn, annotation, {"Raw data": f"Image:{raw}", "note": "n"}) is None
    found["changed"] = sorted(ezomero.get_map_annotation(conn, annotation))
    with tempfile.TemporaryDirectory() as folder:
        (file,) = ezomero.get_file_annotation_ids(conn, "Image", rec, ns="locstream")
        path = Path(ezomero.get_file_annotation(conn, file, folder))
        found["digest"] = hashlib.sha1(path.read_bytes()).hexdigest() == hashlib.sha1(content).hexdigest()
    (file,) = ezomero.get_file_annotation_ids(conn, "Image", rec, ns="table")
    rows = ezomero.get_table(conn, file)
    found["table"] = [len(rows) - 1, rows[0], rows[1]] if isinstance(rows, list) else list(map(str, rows.columns))
    found["filter"] = ezomero.filter_by_kv(conn, [raw, rec], "Reconstruction", f"Image:{rec}") == [raw]
    found["paths"] = ezomero.get_original_filepaths(conn, raw, "client")
    found["user"] = ezomero.get_user_id(conn, "ada") == conn.getUser().getId()
    found["group"] = ezomero.get_group_id(conn, "lab") == conn.getGroupFromContext().getId()
    conn.close()
    finish(found)


def table(conn: object) -> object:
    """Fill a table of the server in two parts; return its annotation, not linked yet."""
    resources = conn.c.sf.sharedResources()
    assert resources.areTablesEnabled()
    made = resources.newTable(0, "locs.h5")
    made.initialize([LongColumn("frame", "", []), DoubleColumn("x_nm", "", [])])
    for start in (0, ROWS // 2):
        frames = np.arange(start, start + ROWS // 2)
        made.addData([LongColumn("frame", "", frames.tolist()), DoubleColumn("x_nm", "", (frames * 1.5).tolist())])
    assert made.getNumberOfRows() == ROWS
    assert made.getWhereList("(frame>=10)&(x_nm<18)", {}, 0, ROWS, 1) == [10, 11]
    data = made.read([1], 10, 12)
    assert data.columns[0].values == [15.0, 16.5]
    file = made.getOriginalFile()
    made.close()
    annotation = FileAnnotationI()
    annotation.ns, annotation.file = rstring("table"), omero.model.OriginalFileI(file.id.val, False)
    return conn.getUpdateService().saveAndReturnObject(annotation)


def link(conn: object, image: int, annotation: object) -> None:
    made = ImageAnnotationLinkI()
    made.parent, made.child = ImageI(image, False), FileAnnotationI(annotation.id.val, False)
    conn.getUpdateService().saveObject(made)


main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
