"""PYME: one fit task a frame, as its cluster workers run them; least squares weighted by the noise."""

from __future__ import annotations

import atexit
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from answering import Array, Method, Program, answer
from PYME.IO import MetaDataHandler
from PYME.localization import remFitBuf
from PYME.localization.FitFactories import import_fit_factory
from simulated import BOX, GAIN_E_PER_ADU, OFFSET_ADU, PIXEL_NM, READ_NOISE_E, SIGMA_PX

MODULE = "LatGaussFitFR"
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.3, 1.6, 2.0)
FOLDER = tempfile.TemporaryDirectory(prefix="bench-pyme-")
atexit.register(FOLDER.cleanup)


def metadata(threshold: float, half_size_px: int) -> Any:
    """Return what PYME is told of camera and analysis."""
    md = MetaDataHandler.NestedClassMDHandler()
    for key, value in {
        "Camera.ADOffset": OFFSET_ADU,
        "Camera.ElectronsPerCount": GAIN_E_PER_ADU,
        "Camera.ReadNoise": READ_NOISE_E,
        "Camera.NoiseFactor": 1.0,
        "Camera.TrueEMGain": 1.0,
        "Camera.ROIOriginX": 0,
        "Camera.ROIOriginY": 0,
        "voxelsize.x": PIXEL_NM / 1000,
        "voxelsize.y": PIXEL_NM / 1000,
        "voxelsize.z": 0.2,
        "voxelsize.units": "um",
        "EstimatedLaserOnFrameNo": 0,
        "Analysis.FitModule": MODULE,
        "Analysis.DetectionThreshold": threshold,
        "Analysis.BGRange": (0, 0),
        "Analysis.ROISize": half_size_px,
        "Analysis.DebounceRadius": 3,
        "Analysis.PSFSigma": SIGMA_PX * PIXEL_NM,
        "tIndex": 0,
    }.items():
        md[key] = value
    return md


def open_movie(path: str, frames: int) -> tuple[str, int]:
    """Write the frames as TIFF, which PYME reads frame by frame."""
    name = Path(FOLDER.name) / f"{Path(path).stem}-{frames}.tif"
    tifffile.imwrite(name, np.load(path, mmap_mode="r")[:frames], photometric="minisblack", metadata=None)
    return str(name), frames


def job(half_size_px: int) -> Method:
    """Return the whole job."""

    def run(movie: tuple[str, int], threshold: float) -> list[Any]:
        path, frames = movie
        md = metadata(threshold, half_size_px)
        tasks = (remFitBuf.fitTask(dataSourceID=path, frameIndex=i, metadata=md) for i in range(frames))
        return [task().results for task in tasks]

    return Method(run, table)


def fit_spots(spots: Any) -> Any:
    """Fit spots one by one."""
    factory, md = import_fit_factory(MODULE), metadata(1.0, BOX // 2)
    adu = spots / GAIN_E_PER_ADU
    noise = np.sqrt(READ_NOISE_E**2 + np.maximum(spots, 1)) / GAIN_E_PER_ADU
    found = np.empty(len(spots), factory.FitResultsDType)
    for i in range(len(spots)):
        image, sigma = (np.ascontiguousarray(a[i].T)[:, :, None] for a in (adu, noise))
        fit = factory.FitFactory(image, md, background=0, noiseSigma=sigma)
        found[i] = fit.FromPoint(BOX // 2, BOX // 2, roiHalfSize=BOX // 2)
    return found


def _light(fits: Any) -> Array:
    return np.asarray(fits["A"] * 2 * np.pi * (fits["sigma"] / PIXEL_NM) ** 2 * GAIN_E_PER_ADU, float)


def spots_table(found: Any) -> Array:
    """Return x, y and photons."""
    fits = found["fitResults"]
    return np.column_stack([fits["x0"] / PIXEL_NM, fits["y0"] / PIXEL_NM, _light(fits)])


def table(found: list[Any]) -> Array:
    """Return frame, x, y and photons; of a TIFF, PYME's x runs down the rows."""
    some = [f for f in found if len(f)]
    if not some:
        return np.empty((0, 4))
    rows = np.concatenate(some)
    fits = rows["fitResults"]
    return np.column_stack([rows["tIndex"], fits["y0"] / PIXEL_NM, fits["x0"] / PIXEL_NM, _light(fits)])


answer(
    Program(
        "PYME",
        version("python-microscopy"),
        fits={f"{MODULE}, 7 × 7 px": Method(fit_spots, spots_table)},
        movies={f"{MODULE}, 11 × 11 px": job(5)},
        thresholds={f"{MODULE}, 11 × 11 px": THRESHOLDS},
        open_movie=open_movie,
    )
)
