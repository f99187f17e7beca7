"""The loops of the fit become vector instructions: one that LLVM gives up on takes ten times as long."""

from __future__ import annotations

import os
import platform
import re
from typing import Any, get_args

import numba
import numpy as np
import pytest

from locstream.compiled import TWO_UNITS, ToldApart
from locstream.fitting.gaussian import FitModel, box_columns
from locstream.fitting.information import add_rows, integrate, sum_rows
from locstream.fitting.lanes import LANES, MAX_BOX, ROWS
from locstream.fitting.scoring import step
from locstream.fitting.smoothing import smooth_along
from locstream.fitting.vectors import compiled_for

SCALAR, VECTOR = re.compile(r"\bv?(?:mul|add|div)ss\b"), re.compile(r"\bv?(?:mul|add|div)ps\b")
"""Arithmetic of x86 with one float32 number, and with as many as a register holds."""
pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="names of instructions are those of x86"
)


def compiled_anew(kernel: Any, *arguments: Any, **more: Any) -> Any:
    """Compile a kernel once more, as what comes from the cache cannot be looked into."""
    kept = {name: kernel.targetoptions[name] for name in ("nogil", "error_model", "fastmath")}
    anew = numba.njit(**kept, **more)(kernel.py_func)
    anew(*arguments)
    return anew


def instructions(kernel: Any, *arguments: Any) -> str:
    (code,) = compiled_anew(kernel, *arguments).inspect_asm().values()
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


def test_registers_are_as_wide_as_is_asked_for() -> None:
    processor, features = compiled_for()
    chosen = processor in TWO_UNITS or processor.startswith("znver")
    if "avx512f" in features and not (chosen and "NUMBA_CPU_NAME" not in os.environ):
        pytest.skip(f"LLVM chooses between 256 and 512 bits for {processor}")
    widest = "zmm" if "avx512f" in features else "ymm" if "avx2" in features else "xmm"
    _, unknowns = box_columns(7)
    assert f"%{widest}" in instructions(step, np.ones(ROWS * LANES, np.float32), unknowns, np.float32(3.5))


@pytest.mark.parametrize(("more", "compares"), [({}, True), ({"pipeline_class": ToldApart}, False)])
def test_what_lies_apart_is_not_compared_before_each_loop(more: dict[str, Any], compares: bool) -> None:
    arguments = np.ones(128, np.float32), np.ones(4, np.float32), np.empty(64, np.float32)
    (code,) = compiled_anew(smooth_along, *arguments, **more).inspect_llvm().values()
    assert ("vector.memcheck" in code) == compares
    assert "vector.body" in code
