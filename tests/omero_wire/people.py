"""Runs in the environment that has OMERO's clients, unmodified: what do people find there of a run?

    python people.py URL USER PASSWORD IMAGE FOLDER

From the raw image: the reconstruction by its key-value pair and the way back, by ezomero; the localizations, downloaded
by ezomero and by BlitzGateway; the dataset. Prints JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import ezomero
import omero
from omero.gateway import BlitzGateway

url, user, password, number, folder = sys.argv[1:]
raw = int(number)
client = omero.client(host=url)
client.createSession(user, password)
conn = BlitzGateway(client_obj=client)
CLIENT = "openmicroscopy.org/omero/client/mapAnnotation"


def pairs(image: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for annotation in ezomero.get_map_annotation_ids(conn, "Image", image, ns=CLIENT):
        found |= ezomero.get_map_annotation(conn, annotation)
    return found


def digest(blocks: object) -> str:
    found = hashlib.sha256()
    for block in blocks:
        found.update(block)
    return found.hexdigest()


try:
    there = pairs(raw)
    reconstruction = int(there["Reconstruction"].removeprefix("Image:"))
    back = pairs(reconstruction)
    files = {}
    for annotation in ezomero.get_file_annotation_ids(conn, "Image", raw):
        path = ezomero.get_file_annotation(conn, annotation, folder)
        files[Path(path).name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    image = conn.getObject("Image", raw)
    of_image = omero.sys.ParametersI().addId(raw)
    shown = conn.getQueryService().findByQuery(
        "select s from Channel c join c.statsInfo s where c.pixels.image.id = :id", of_image
    )
    attached = [a for a in image.listAnnotations() if isinstance(a, omero.gateway.FileAnnotationWrapper)]
    streamed = {a.getFile().getName(): digest(a.getFileInChunks()) for a in attached}
    found = {
        "name": image.getName(),
        "size": [image.getSizeX(), image.getSizeY(), image.getSizeT()],
        "range": [shown.globalMin.val, shown.globalMax.val],
        "dataset": image.getParent().getName(),
        "project": image.getParent().getParent().getName(),
        "reconstruction": conn.getObject("Image", reconstruction).getName(),
        "back": back["Raw data"],
        "pairs": there,
        "tags": [
            a.getTextValue() for a in image.listAnnotations() if isinstance(a, omero.gateway.TagAnnotationWrapper)
        ],
        "files": files,
        "streamed": streamed,
    }
    print(json.dumps(found))
finally:
    conn.close()
