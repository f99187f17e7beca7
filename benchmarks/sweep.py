"""Is one threshold right for every stack? Jaccard over thresholds, on stacks of which the truth is known.

    python benchmarks/sweep.py [--quick] [--data FOLDER]

Public stacks with truth (EPFL challenge 2013, storm-analysis) are looked for in FOLDER/raw_simulated_with_truth and
skipped where they are absent; of each only pixel size and offset are given, all else is the default. Molecules count
as found within 1 px of the truth there, within 200 nm on the simulated stacks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import machine
import numpy as np
import numpy.typing as npt
from aims import Aim, aims_table
from contest import table
from molecule import Array
from programs.simulated import GAIN_E_PER_ADU, OFFSET_ADU, PIXEL_NM, READ_NOISE_E
from scores import Score, score
from simulate import BACKGROUNDS, PLANS, stack

from locstream.calibration import CameraCalibration
from locstream.fitting import FitOptions, Localizer, warmup
from locstream.stacks.open import open_stack
from locstream.stacks.source import Image

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
THRESHOLDS = (3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0)
DEFAULT = FitOptions().threshold
WANTED = 0.015
"""So much below its best the Jaccard at the default threshold may be."""
MAX_ERROR, MAX_BIAS_PX = 1.03, 0.005
FEWEST_ISOLATED = 300
"""With fewer isolated molecules RMSE/CRLB is too uncertain."""
BEST_OF_PEERS = {
    "Tubulins I": (0.987, 0.048),
    "test.dax": (0.99, 0.05),
    "low SNR": (0.937, 0.162),
    "A10": (0.99, None),
    "B10": (0.984, None),
    "C10": (0.985, None),
    "A50": (0.958, None),
}
"""Jaccard and rms (px) to reach at the best threshold: what the best of other programs reached."""
Truth = npt.NDArray[np.void]


class Case(NamedTuple):
    """A stack with truth."""

    name: str
    frames: list[Image]
    truth: Truth
    camera: CameraCalibration
    radius_px: float
    read_noise_e: float | None
    """None where light is not in photoelectrons, so that there is no bound."""


class Public(NamedTuple):
    """Where a public stack lies and what must be known of it."""

    name: str
    stack: str
    truth: str
    read_truth: Callable[[Path], Array]
    """Frame, x, y in px from the centre of pixel (0, 0)."""
    pixel_nm: float
    offset_adu: float


def read_challenge(folder: Path) -> Array:
    """Read the EPFL challenge's tables, one a frame: nm from the pixel's corner, frames from 1."""
    tables = [np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2) for path in sorted(folder.glob("*.csv"))]
    rows = np.concatenate(tables)
    return np.column_stack([rows[:, 1] - 1, rows[:, 2] / 150 - 0.5, rows[:, 3] / 150 - 0.5])


def read_insight3(path: Path) -> Array:
    """Read Insight3's molecules: 72 bytes each, x and y in px from 1, frames from 1."""
    raw = np.fromfile(path, "u1")
    n = int(raw[12:16].view("<i4")[0])
    row = np.dtype(
        {"names": ["x", "y", "frame"], "formats": ["<f4", "<f4", "<i4"], "offsets": [0, 4, 52], "itemsize": 72}
    )
    rows = np.frombuffer(raw.tobytes(), row, n, 16)
    return np.column_stack([rows["frame"], rows["x"], rows["y"]]).astype(float) - 1


PUBLIC = (
    Public(
        "Tubulins I",
        "EPFL2013_TubulinsI_41x256x256/sequence",
        "EPFL2013_TubulinsI_41x256x256/Ground-truth",
        read_challenge,
        150.0,
        0.0,
    ),
    Public(
        "test.dax",
        "storm_analysis_test_10x256x256/test.dax",
        "storm_analysis_test_10x256x256/test_olist.bin",
        read_insight3,
        160.0,
        100.0,
    ),
    Public(
        "low SNR",
        "storm_analysis_low_snr_2x300x400/test_low_snr.dax",
        "storm_analysis_low_snr_2x300x400/test_low_snr_list.bin",
        read_insight3,
        160.0,
        100.0,
    ),
)


def public_cases(data: Path) -> Iterator[Case]:
    """Yield the public stacks that are there; name those that are not."""
    folder = data / "raw_simulated_with_truth"
    for public in PUBLIC:
        if not (folder / public.stack).exists():
            print(f"Skipped: {public.name}: {folder / public.stack} is not there", flush=True)
            continue
        opened = open_stack(folder / public.stack)
        try:
            frames = [opened.read(i) for i in range(len(opened))]
        finally:
            opened.close()
        rows = public.read_truth(folder / public.truth)
        truth = np.zeros(len(rows), [("frame", "<i4"), ("x", "<f8"), ("y", "<f8")])
        truth["frame"], truth["x"], truth["y"] = rows.T
        camera = CameraCalibration(public.pixel_nm, offset_adu=public.offset_adu)
        yield Case(public.name, frames, truth, camera, 1.0, None)


def simulated_cases(frames: dict[str, int]) -> Iterator[Case]:
    """Yield the simulated stacks."""
    camera = CameraCalibration(PIXEL_NM, OFFSET_ADU, GAIN_E_PER_ADU, READ_NOISE_E)
    for kind in frames:
        for background in BACKGROUNDS:
            made = stack(f"{kind}{background}", frames[kind])
            name = f"{kind}{background}"
            yield Case(name, list(made.frames), made.truth, camera, 200 / PIXEL_NM, READ_NOISE_E)


def localize(case: Case, threshold: float) -> Array:
    """Return frame, x, y (px) at a threshold; all other options at their defaults."""
    height, width = case.frames[0].shape
    localizer = Localizer(case.camera, height, width, FitOptions(threshold=threshold))
    rows = np.concatenate([localizer(image, number) for number, image in enumerate(case.frames)])
    pixel_nm = case.camera.pixel_size_nm
    return np.column_stack([rows["frame"], rows["x_nm"] / pixel_nm, rows["y_nm"] / pixel_nm])


def sweep(case: Case, thresholds: tuple[float, ...]) -> dict[float, Score]:
    """Score a stack at every threshold."""
    return {t: score(case.truth, localize(case, t), case.radius_px, case.read_noise_e) for t in thresholds}


def summary(name: str, scores: dict[float, Score]) -> list[str]:
    """Return the row of the table of best and default."""
    best = max(scores, key=lambda t: scores[t].jaccard)
    at_best, at_default = scores[best], scores[DEFAULT]
    below = at_best.jaccard - at_default.jaccard
    return [
        name,
        f"{at_best.truth:,}",
        f"{best:g}",
        f"{at_best.jaccard:.4f}",
        f"{at_best.rms_px:.4f}",
        f"{at_default.jaccard:.4f}",
        f"{at_default.rms_px:.4f}",
        f"{below:.4f}" + ("" if below <= WANTED else " !"),
        str(at_default.rmse_over_crlb),
        f"{at_default.bias_x_px:+.4f}, {at_default.bias_y_px:+.4f}",
    ]


def aims(scores: dict[str, dict[float, Score]]) -> list[Aim]:
    """Return what was aimed at."""
    found = []
    for name, of_stack in scores.items():
        best = max(of_stack.values(), key=lambda s: s.jaccard)
        default = of_stack[DEFAULT]
        jaccard, rms_px = BEST_OF_PEERS.get(name, (None, None))
        if jaccard is not None:
            found.append(Aim(f"{name}: Jaccard at the best threshold", best.jaccard, jaccard, True))
        if rms_px is not None:
            found.append(Aim(f"{name}: rms there (px)", best.rms_px, rms_px, False))
        below = best.jaccard - default.jaccard
        found.append(Aim(f"{name}: default below the best by", below, WANTED, False, 4))
        if default.isolated > FEWEST_ISOLATED:
            found.append(Aim(f"{name}: RMSE/CRLB", default.rmse_over_crlb.value, MAX_ERROR, False))
            bias = max(abs(default.bias_x_px), abs(default.bias_y_px))
            found.append(Aim(f"{name}: bias (px)", bias, MAX_BIAS_PX, False, 4))
    return found


def main() -> None:
    """Print two tables: best and default, and the Jaccard at every threshold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer frames and thresholds")
    parser.add_argument("--data", type=Path, default=DATA, help="where the public stacks are (%(default)s)")
    given = parser.parse_args()
    machine.pin()
    print(machine.statement() + "\n")
    warmup()
    frames = {kind: (plan.frames // 20 if given.quick else plan.frames) for kind, plan in PLANS.items()}
    del frames["astigmatic"]
    thresholds = tuple(sorted({*(THRESHOLDS[::2] if given.quick else THRESHOLDS), DEFAULT}))
    scores: dict[str, dict[float, Score]] = {}
    for cases in (public_cases(given.data), simulated_cases(frames)):
        scores |= {case.name: sweep(case, thresholds) for case in cases}
    head = [
        "stack",
        "molecules",
        "best threshold",
        "Jaccard",
        "rms (px)",
        f"Jaccard at {DEFAULT:g}",
        "rms (px)",
        "below best",
    ]
    print(table([*head, "RMSE/CRLB", "bias x, y (px)"], [summary(name, s) for name, s in scores.items()]) + "\n")
    curve = [[name, *(f"{s[t].jaccard:.4f}" for t in thresholds)] for name, s in scores.items()]
    print("Jaccard at every threshold:\n")
    print(table(["stack", *(f"{t:g}" for t in thresholds)], curve) + "\n")
    if not given.quick:
        print(aims_table(aims(scores)))


if __name__ == "__main__":
    main()
