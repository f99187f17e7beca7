"""What the files of a run are, and which came of which, as entities of an RO-Crate."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import locstream
from locstream.bundle.checksum import sha256_of
from locstream.bundle.crate import NO_LICENCE, RUN, Entity, file_id, ref, run_id
from locstream.bundle.files import RunFiles
from locstream.bundle.metadata import Metadata, Person
from locstream.bundle.summary import Summary
from locstream.bundle.whole_file import files_in
from locstream.results.header import ResultsHeader

LIBRARIES = ("numpy", "numba", "h5py", "tifffile")
TIFF = "image/tiff"
HDF5 = "application/x-hdf5"


def describe(
    files: RunFiles, header: ResultsHeader, summary: Summary, metadata: Metadata, written: Mapping[str, bytes]
) -> tuple[Entity, list[Entity]]:
    """Return what there is to say of a folder with this run, and the entities of the run.

    Parameters
    ----------
    files
        Names of the run; each file that is there is hashed.
    header
        What the results say of it.
    summary
        What it came to.
    metadata
        What the user says of it.
    written
        Content of files that are about to be written, by name.

    Raises
    ------
    LocstreamError
        A file cannot be read.
    """
    people = [_person(person) for person in metadata.who]
    homes = [_organization(person.affiliation) for person in metadata.who if person.affiliation]
    licence = _licence(metadata.licence)
    parts = list(_files(files, written))
    pairs = _pairs(files, metadata)
    software = _software()
    camera = _camera(header)
    run = {
        "@id": run_id(files.name),
        "@type": RUN,
        "name": files.name,
        "identifier": header.acquisition_id,
        "description": _sentence(summary, metadata),
        "dateCreated": summary.started.isoformat(),
        "author": [ref(person) for person in people],
        "hasPart": [ref(part) for part in parts],
        "variableMeasured": [ref(pair) for pair in pairs],
    }
    about: Entity = {
        "name": metadata.title or files.name,
        "description": run["description"],
        "datePublished": summary.finished.isoformat(),
        "license": NO_LICENCE if licence is None else ref(licence),
        "author": run["author"],
        "publisher": [ref(home) for home in homes[:1]],
    }
    made = _actions(files, summary, {part["@id"] for part in parts}, camera, software[0], people)
    shared = [*software, camera, *people, *homes, *([licence] if licence is not None else [])]
    return about, [run, *parts, *made, *pairs, *shared]


def _sentence(summary: Summary, metadata: Metadata) -> str:
    frames, source = summary.frames, summary.source
    told = (
        f"Single-molecule localization microscopy: {summary.localizations.total:,} localizations in {frames.fitted:,} "
        f"of {frames.acquired:,} frames of {source.width_px} × {source.height_px} px of {source.pixel_size_nm:g} nm; "
        f"the run ended as {summary.outcome}."
    )
    return f"{metadata.description.strip()}\n{told}" if metadata.description.strip() else told


def _files(files: RunFiles, written: Mapping[str, bytes]) -> Iterator[Entity]:
    kinds = {
        files.stack: (TIFF, "raw frames as the camera gave them, OME-TIFF"),
        files.results: (HDF5, "localizations, a Picasso localization file; frame ledger, calibration and how it ended"),
        files.yaml: ("application/yaml", "Picasso's metadata of the localizations"),
        files.thunderstorm: ("text/csv", "localizations as a ThunderSTORM table"),
        files.pyme: (HDF5, "localizations as a PYME table"),
        files.truth: (HDF5, "where the simulated molecules really were"),
        files.picture: ("image/png", "reconstruction to look at"),
        files.reconstruction: (TIFF, "reconstruction, localizations per pixel with the pixel's size, OME-TIFF"),
        files.ome_zarr: ("application/octet-stream", "part of the reconstruction as OME-Zarr 0.5, which is a folder"),
        files.config: ("application/toml", "configuration in effect"),
        files.camera: (HDF5, "camera calibration file"),
        files.astigmatism: ("application/json", "astigmatism calibration that gave depth"),
        files.summary: ("application/json", "what the run came to"),
    }
    every = {path: about for whole, about in kinds.items() for path in files_in(whole) or [whole]}
    for path, (kind, meaning) in every.items():
        name = files.name_of(path)
        content = written.get(name)
        if content is None and not path.exists():
            continue
        yield {
            "@id": file_id(name),
            "@type": "File",
            "name": name,
            "description": meaning,
            "encodingFormat": "application/json" if path.name == "zarr.json" else kind,
            "contentSize": str(path.stat().st_size if content is None else len(content)),
            "sha256": sha256_of(path) if content is None else hashlib.sha256(content).hexdigest(),
        }


def _actions(
    files: RunFiles, summary: Summary, there: set[str], camera: Entity, software: Entity, people: list[Entity]
) -> Iterator[Entity]:
    def refs(*paths: Path) -> list[Entity]:
        known = [file_id(files.name_of(path)) for whole in paths for path in files_in(whole)]
        return [ref(name) for name in known if name in there]

    steps = {
        "acquisition": ((files.config,), (files.stack, files.truth)),
        "localization": ((files.stack, files.config, files.camera, files.astigmatism), (files.results, files.yaml)),
        "rendering": ((files.results, files.config), (files.picture, files.reconstruction, files.ome_zarr)),
        "export": ((files.results,), (files.thunderstorm, files.pyme)),
    }
    for step, (inputs, outputs) in steps.items():
        if not (result := refs(*outputs)):
            continue
        action: Entity = {
            "@id": run_id(files.name, step),
            "@type": "CreateAction",
            "name": f"{step} of {files.name}",
            "instrument": [ref(camera), ref(software)] if step == "acquisition" else ref(software),
            "object": refs(*inputs),
            "result": result,
            "endTime": summary.finished.isoformat(),
        }
        if step == "acquisition":
            action |= {"startTime": summary.started.isoformat(), "agent": [ref(person) for person in people]}
        yield action


def _pairs(files: RunFiles, metadata: Metadata) -> list[Entity]:
    return [
        {"@id": run_id(files.name, f"metadata/{number}"), "@type": "PropertyValue", "name": key, "value": value}
        for number, (key, value) in enumerate(metadata.pairs().items(), 1)
    ]


def _software() -> list[Entity]:
    def program(name: str, release: str) -> Entity:
        return {"@id": f"#{name}-{release}", "@type": "SoftwareApplication", "name": name, "softwareVersion": release}

    libraries = [program("Python", platform.python_version()), *(program(name, version(name)) for name in LIBRARIES)]
    ours = program("locstream", locstream.__version__)
    return [ours | {"softwareRequirements": [ref(library) for library in libraries]}, *libraries]


def _camera(header: ResultsHeader) -> Entity:
    name = header.camera or "unknown camera"
    known = hashlib.sha256(f"{header.camera}\n{header.serial}".encode()).hexdigest()[:12]
    camera: Entity = {"@id": f"#camera-{known}", "@type": "IndividualProduct", "name": name}
    return camera | ({"serialNumber": header.serial} if header.serial else {})


def _person(person: Person) -> Entity:
    known = hashlib.sha256(person.model_dump_json().encode()).hexdigest()[:12]
    found: Entity = {
        "@id": f"https://orcid.org/{person.orcid}" if person.orcid else f"#person-{known}",
        "@type": "Person",
        "name": person.name,
    }
    if person.email:
        found["email"] = person.email
    if person.affiliation:
        found["affiliation"] = ref(_organization(person.affiliation))
    return found


def _organization(name: str) -> Entity:
    known = hashlib.sha256(name.encode()).hexdigest()[:12]
    return {"@id": f"#organization-{known}", "@type": "Organization", "name": name}


def _licence(licence: str) -> Entity | None:
    if not licence:
        return None
    address = licence if "://" in licence else f"https://spdx.org/licenses/{licence}"
    return {"@id": address, "@type": "CreativeWork", "name": licence, "description": f"terms of use: {licence}"}
