"""The fast kernel that draws frames is held to a plain reference, number by number."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from locstream.stacks.source import Image
from locstreamd.record.camera_noise import draw_frame, mix, normal_quantiles

WORD = 2**64 - 1


def plain_mix(state: int) -> int:
    """SplitMix64 as it is published."""
    bits = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & WORD
    return bits ^ (bits >> 31)


def plain_frame(
    columns: npt.NDArray[np.float64],
    rows: npt.NDArray[np.float64],
    photons: npt.NDArray[np.int64],
    sigma_px: float,
    normal: npt.NDArray[np.float32],
    noise_adu: npt.NDArray[np.float32],
    adu_per_e: float,
    state: int,
    shape: tuple[int, int],
) -> Image:
    electrons = np.zeros(shape, np.int64)
    for column, row, count in zip(columns, rows, photons, strict=True):
        for _ in range(count):
            state = (state + 0x9E3779B97F4A7C15) & WORD
            bits = plain_mix(state)
            c = math.floor(column + sigma_px * float(normal[bits & 0xFFFF]) + 0.5)
            r = math.floor(row + sigma_px * float(normal[(bits >> 16) & 0xFFFF]) + 0.5)
            if 0 <= c < shape[1] and 0 <= r < shape[0]:
                electrons[r, c] += 1
    image = np.empty(shape, np.uint16)
    for r in range(shape[0]):
        for c in range(shape[1]):
            if c % 4 == 0:
                state = (state + 0x9E3779B97F4A7C15) & WORD
                bits = plain_mix(state)
            adu = float(noise_adu[(bits >> (16 * (c % 4))) & 0xFFFF]) + adu_per_e * int(electrons[r, c])
            image[r, c] = int(min(max(adu + 0.5, 0), 65535))
    return image


def test_the_random_numbers_are_those_of_splitmix64() -> None:
    states = [0, 1, 0x9E3779B97F4A7C15, WORD, 1234567]
    assert [int(mix(np.uint64(s))) for s in states] == [plain_mix(s) for s in states]
    # the first number of the published generator seeded with 0
    assert int(mix(np.uint64(0x9E3779B97F4A7C15))) == 0xE220A8397B1DCDAF


@pytest.mark.parametrize("shape", [(16, 16), (7, 21), (33, 6)])
@pytest.mark.parametrize("seed", [0, 1, WORD])
def test_the_kernel_draws_what_the_plain_reference_draws(shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng([seed, *shape])
    columns, rows = rng.uniform(-2, shape[1] + 2, 9), rng.uniform(-2, shape[0] + 2, 9)
    photons = rng.poisson(150, 9)
    noise_adu = np.sort(rng.normal(60, 40, 65_536)).astype(np.float32)
    normal = normal_quantiles()
    drawn = np.empty(shape, np.uint16)
    scratch = np.full(shape, 99, np.int32)
    draw_frame(columns, rows, photons, 1.3, normal, noise_adu, 1 / 0.46, np.uint64(seed), scratch, drawn)
    assert np.array_equal(drawn, plain_frame(columns, rows, photons, 1.3, normal, noise_adu, 1 / 0.46, seed, shape))


def test_saturated_pixels_agree_too() -> None:
    args = (np.array([3.0]), np.array([3.0]), np.array([5000]), 0.4, normal_quantiles())
    noise_adu = np.linspace(-100, 60_000, 65_536, dtype=np.float32)
    drawn = np.empty((8, 8), np.uint16)
    draw_frame(*args, noise_adu, 20.0, np.uint64(7), np.empty((8, 8), np.int32), drawn)
    plain = plain_frame(*args, noise_adu, 20.0, 7, (8, 8))
    assert np.array_equal(drawn, plain)
    assert drawn.max() == 65_535
