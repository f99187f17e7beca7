"""The loops of the fit become vector instructions: one that LLVM gives up on takes ten times as long."""

from __future__ import annotations

import platform
import re
from typing import Any, get_args

import numba
import numpy as np
import pytest

from locstream.fitting.gaussian import FitModel, box_columns
from locstream.fitting.information import add_rows, integrate, sum_rows
from locstream.fitting.lanes import LANES, MAX_BOX, ROWS
from locstream.fitting.scoring import step

SCALAR, VECTOR = re.compile(r"\bv?(?:mul|add|div)ss\b"), re.compile(r"\bv?(?:mul|add|div)ps\b")
"""Arithmetic of x86 with one float32 number, and with as many as a register holds."""
pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="names of instructions are those of x86"
)


def instructions(kernel: Any, *arguments: Any) -> str:
    """Compile a kernel anew, as what comes from the cache cannot be looked into; return its own code."""
    kept = {name: kernel.targetoptions[name] for name in ("nogil", "error_model", "fastmath")}
    anew = numba.njit(**kept)(kernel.py_func)
    anew(*arguments)
    (code,) = anew.inspect_asm().values()
    return str(code)


def assert_vectorized(code: str) -> None:
    assert len(VECTOR.findall(code)) > 10
    assert len(SCALAR.findall(code)) <= 2, "for the loops over pixels, not for those over lanes"


@pytest.mark.parametrize("box", [7, MAX_BOX])
@pytest.mark.parametrize("kernel", [integrate, sum_rows, add_rows], ids=lambda kernel: kernel.__name__)
def test_the_information_of_many_spots_at_a_time(kernel: Any, box: int) -> None:
    columns, _ = box_columns(box)
    assert_vectorized(instructions(kernel, np.ones(ROWS * LANES, np.float32), columns))


@pytest.mark.parametrize("model", get_args(FitModel))
def test_the_step_of_many_spots_at_a_time(model: FitModel) -> None:
    _, unknowns = box_columns(7, model)
    assert_vectorized(instructions(step, np.ones(ROWS * LANES, np.float32), unknowns, np.float32(3.5)))
