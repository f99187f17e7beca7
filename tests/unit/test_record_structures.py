"""The simulated cell is what a microscopist knows: tubes 25 nm across, rings of eight corners 107 nm across."""

from __future__ import annotations

import numpy as np
import pytest

from locstreamd.record import structures
from locstreamd.record.structures import (
    STRUCTURES,
    filament,
    label_filament,
    microtubules,
    nuclear_pores,
    nucleus_of,
)

FIELD = (27_648.0, 20_000.0)


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def perfect_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every corner of a pore labelled once, exactly where it is."""
    monkeypatch.setattr(structures, "LINKAGE_NM", 0.0)
    monkeypatch.setattr(structures, "LABELLED_FRACTION", 1.0)
    monkeypatch.setattr(structures, "LABELS_PER_CORNER", 1)


@pytest.mark.usefixtures("perfect_labels")
def test_pores_are_rings_of_eight_corners_inside_the_nucleus() -> None:
    rings = nuclear_pores(rng(), *FIELD).reshape(-1, 8, 2)
    centres = rings.mean(axis=1)
    spokes = rings - centres[:, None]
    assert np.hypot(*np.moveaxis(spokes, 2, 0)) == pytest.approx(53.5, abs=1e-6)
    angles = np.unwrap(np.arctan2(spokes[..., 1], spokes[..., 0]), axis=1)
    assert np.diff(angles, axis=1) == pytest.approx(np.pi / 4)
    assert np.ptp(angles[:, 0]) > np.pi
    assert nucleus_of(*FIELD).contains(centres).all()


@pytest.mark.usefixtures("perfect_labels")
def test_pores_do_not_overlap_and_are_as_dense_as_announced() -> None:
    centres = nuclear_pores(rng(), *FIELD).reshape(-1, 8, 2).mean(axis=1)
    gaps = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(centres))
    assert gaps.min() > 107
    a, b = nucleus_of(*FIELD).axes / 1000
    assert len(centres) / (np.pi * a * b) == pytest.approx(0.9 / (0.43**2 * 0.866), rel=0.1)


def test_some_corners_of_a_pore_are_dark_and_labels_are_beside_what_they_label() -> None:
    full = 8 * structures.LABELS_PER_CORNER
    labels = nuclear_pores(rng(), *FIELD)
    pores = len(nuclear_pores(rng(), *FIELD)) / (full * structures.LABELLED_FRACTION)
    assert len(labels) < full * pores
    assert len(np.unique(labels, axis=0)) == len(labels)


def test_a_filament_has_its_length_and_begins_where_it_should() -> None:
    axis = filament(rng(), np.array([100.0, 200.0]), 0.5, 9000)
    steps = np.hypot(*np.diff(axis, axis=0).T)
    assert steps == pytest.approx(20)
    assert len(axis) == 450
    assert np.hypot(*(axis[0] - [100, 200])) == pytest.approx(20)


def test_filaments_curve_gently_to_both_sides() -> None:
    axis = filament(rng(), np.zeros(2), 0, 2_000_000)
    heading = np.unwrap(np.arctan2(*np.diff(axis, axis=0).T[::-1]))
    curvature_per_um = np.diff(heading) / 0.020
    assert np.sqrt(np.mean(curvature_per_um**2)) == pytest.approx(structures.CURVATURE_PER_UM, rel=0.15)
    assert abs(np.mean(curvature_per_um)) < 0.3 * structures.CURVATURE_PER_UM
    assert np.abs(curvature_per_um).max() < 1.5


def test_labels_sit_on_the_wall_of_a_tube(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "LINKAGE_NM", 0.0)
    axis = np.column_stack([20.0 * np.arange(2000), np.full(2000, 700.0)])
    labels = label_filament(rng(), axis)
    across = labels[:, 1] - 700
    assert np.abs(across).max() <= 12.5
    assert across.std() == pytest.approx(12.5 / np.sqrt(2), rel=0.03)
    assert abs(across.mean()) < 1
    edges, middle = (np.abs(across) > 10).sum(), (np.abs(across) < 2.5).sum()
    assert edges > 2 * middle
    assert len(labels) == pytest.approx(structures.LABELS_PER_UM * 40, rel=0.1)
    assert labels[:, 0].min() >= 0
    assert labels[:, 0].max() <= axis[-1, 0]


def test_a_tube_may_run_in_any_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "LINKAGE_NM", 0.0)
    along = np.array([0.6, -0.8])
    axis = 20.0 * np.arange(1000)[:, None] * along
    labels = label_filament(rng(), axis)
    across = labels @ np.array([0.8, 0.6])
    assert np.abs(across).max() <= 12.5 + 1e-9
    assert across.std() == pytest.approx(12.5 / np.sqrt(2), rel=0.05)


def test_microtubules_leave_the_nucleus_free() -> None:
    labels = microtubules(rng(), *FIELD)
    inside = nucleus_of(*FIELD).contains(labels).mean()
    assert inside < structures.NUCLEUS_OVERLAP
    for quarter in ((labels < np.array(FIELD) / 2) == [[a, b]] for a in (True, False) for b in (True, False)):
        assert quarter.all(axis=1).sum() > 100


@pytest.mark.parametrize("name", sorted(STRUCTURES))
@pytest.mark.parametrize("field", [FIELD, (7000.0, 30_000.0), (2000.0, 1500.0), (120_000.0, 120_000.0)])
def test_structures_fill_fields_of_every_size_and_stay_inside(name: str, field: tuple[float, float]) -> None:
    labels = STRUCTURES[name](rng(), *field)
    assert labels.shape[1:] == (2,)
    assert len(labels) > 20
    assert (labels >= 0).all()
    assert (labels < field).all()


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_a_seed_chooses_the_cell(name: str) -> None:
    make = STRUCTURES[name]
    assert np.array_equal(make(rng(1), *FIELD), make(rng(1), *FIELD))
    assert not np.array_equal(make(rng(1), *FIELD)[:50], make(rng(2), *FIELD)[:50])
