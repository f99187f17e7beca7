"""How many molecules are found, and how well, at one threshold after the other.

    python benchmarks/accuracy.py [--frames 100] [--thresholds 4.5 5 5.5 6] [A10 B10 C10 A50 …]

Frames are simulated: pixels of 100 nm, images of molecules with a standard deviation of 130 nm, 200 + Exp(800)
photons, a camera with offset 100 ADU, 0.46 e⁻/ADU and a read noise of 1.6 e⁻. A case is a letter for size and density
(A 256² with 20 molecules, B 512² with 150, C 128² with 10) and the background, photons a pixel. The default threshold
is 5.

Molecules and rows are matched one to one within 200 nm. ``/bound`` is the root mean square, over molecules with no
other within 12 px, of the error in parts of the Cramér–Rao bound for x, y, photons, background and width in a box of
7 px. The time is the processor's, a frame.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fitting_frames import expose, light, scatter
from fitting_reference import bounds, gaussians
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, Localizer, warmup
from scoring import score

PIXEL_NM, SIGMA_PX, MATCH_NM, ALONE_PX = 100.0, 1.3, 200.0, 12.0
CAMERA = CameraCalibration(PIXEL_NM, 100.0, 0.46, 1.6)
CASES = {"A": (256, 20), "B": (512, 150), "C": (128, 10)}


def simulate(case: str, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames, and their molecules as rows of frame, x, y (px), photons."""
    size, per_frame = CASES[case[0]]
    background = float(case[1:])
    rng = np.random.default_rng([ord(case[0]), int(background)])
    images, truth = [], []
    for k in range(frames):
        table = scatter(rng.poisson(per_frame), size, size, rng)
        images.append(expose(light(table, size, size, sigma=SIGMA_PX, background=background), CAMERA, rng))
        truth.append(np.column_stack([np.full(len(table), k), table["x"], table["y"], table["photons"]]))
    return np.stack(images), np.concatenate(truth)


def alone(truth: np.ndarray) -> np.ndarray:
    """Tell which molecules have no other nearby in their frame."""
    places = np.column_stack([truth[:, 1:3], 1e4 * truth[:, 0]])
    return cKDTree(places).query(places, k=2)[0][:, 1] > ALONE_PX


def over_bound(table: np.ndarray, truth: np.ndarray, background: float) -> float:
    """Return the rms error of x and y in parts of the bound, over these molecules as far as they were found."""
    rows = np.column_stack([table["x_nm"] / PIXEL_NM, table["y_nm"] / PIXEL_NM, 1e4 * table["frame"]])
    distance, _ = cKDTree(rows).query(np.column_stack([truth[:, 1:3], 1e4 * truth[:, 0]]))
    found = distance < MATCH_NM / PIXEL_NM
    variance = CAMERA.read_noise_e**2 + CAMERA.gain_e_per_adu**2 / 12
    model = gaussians(1, -3, -3, 7, 7)
    bound = [
        bounds(model, np.array([x - round(x), y - round(y), photons, SIGMA_PX, background]), variance)[:2]
        for _, x, y, photons in truth[found].tolist()
    ]
    return float(np.sqrt(np.mean(distance[found] ** 2 / np.sum(np.square(bound), axis=1))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=["A10", "B10", "C10", "A50"])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[4.5, 5.0, 5.5, 6.0])
    chosen = parser.parse_args()
    warmup()
    print("case  threshold  Jaccard  recall precision  rms nm  /bound     ms")
    for case in chosen.cases:
        images, truth = simulate(case, chosen.frames)
        single = truth[alone(truth)]
        for threshold in chosen.thresholds:
            localizer = Localizer(CAMERA, *images.shape[1:], FitOptions(threshold=threshold))
            begin = time.process_time()
            table = np.concatenate([localizer(image, k) for k, image in enumerate(images)])
            ms = 1e3 * (time.process_time() - begin) / len(images)
            result = score(table, PIXEL_NM, truth[:, :3], MATCH_NM / PIXEL_NM)
            print(
                f"{case:5} {threshold:9.2f} {result.jaccard:8.4f} {result.matched / result.expected:7.4f} "
                f"{result.matched / result.found:9.4f} {result.rms_px * PIXEL_NM * np.sqrt(2):7.2f} "
                f"{over_bound(table, single, float(case[1:])):7.3f} {ms:6.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
