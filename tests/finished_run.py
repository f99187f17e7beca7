"""A folder with a finished run in it, made without a camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from killed_run import PAGES, Left, leave
from locstream.bundle.files import RunFiles
from locstream.bundle.recovery import clean_folder, recover_run

METADATA: dict[str, Any] = {
    "title": "Pores",
    "description": "Nuclear pores, µm scale",
    "modality": "dSTORM",
    "microscope": "Nikon Ti2",
    "licence": "CC-BY-4.0",
    "who": [{"name": "Ada King Lovelace", "orcid": "0000-0002-1825-0097", "email": "a@b.c", "affiliation": "A Lab"}],
    "sample": {"organism": "Homo sapiens", "entity": "U2OS", "buffer": "GLOX, 100 mM MEA"},
    "labelling": {"target": "Nup96", "fluorophore": "Alexa Fluor 647", "emission_nm": 670.0},
    "objective": {"model": "Apo TIRF", "magnification": 100.0, "numerical_aperture": 1.49, "immersion": "Oil"},
    "laser": [
        {"wavelength_nm": 405.0, "power_mw": 1.5, "use": "activation"},
        {"wavelength_nm": 640.0, "power_mw": 100.0},
    ],
}
ALSO = {"also": ["thunderstorm", "pyme", "ome-zarr"]}


def finished(folder: Path, *, pages: int | None = PAGES, **config: Any) -> RunFiles:
    """Finish a run named ``run`` in a folder; return its names."""
    files = leave(
        folder, Left(pages, 12 if pages is not None else PAGES), config={"render": {"bin_nm": 25.0}, **config}
    )
    recover_run(files)
    clean_folder(folder)
    return files
