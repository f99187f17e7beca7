"""How wide the fits run, in words that a user finds on the box of the processor."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from llvmlite import binding

from locstream.compiled import features_of
from locstream.fitting import vectors
from locstream.fitting.gaussian import LANES
from locstream.fitting.vectors import vector_text

X86 = {"sse2", "avx2"}


@pytest.mark.parametrize(
    ("features", "lanes", "text"),
    [
        ({*X86, "avx512f"}, 16, "16 float32 lanes (AVX-512)"),
        ({*X86, "avx512f"}, 8, "8 float32 lanes (AVX2)"),
        (X86, 8, "8 float32 lanes (AVX2)"),
        ({"neon"}, 8, "8 float32 lanes (NEON)"),
        ({"sse2"}, 8, "8 float32 lanes (SSE2)"),
        (set(), 8, "8 float32 lanes (no wide vectors)"),
    ],
)
def test_lanes_go_with_the_instructions_that_make_them(
    monkeypatch: pytest.MonkeyPatch, features: set[str], lanes: int, text: str
) -> None:
    monkeypatch.setattr(vectors, "compiled_for", lambda: ("some processor", frozenset(features)))
    assert vector_text(lanes) == text


def test_here_it_is_the_width_that_the_kernels_have() -> None:
    assert vector_text().startswith(f"{LANES} float32 lanes (")


@pytest.mark.parametrize(
    ("processor", "features", "more"),
    [
        ("icelake-server", "+avx2,+avx512f", ",-prefer-256-bit"),
        ("icelake-server", "+avx2,-avx512f", ""),
        ("cascadelake", "+avx2,+avx512f", ""),
        ("tigerlake", "+avx2,+avx512f", ""),
        ("znver5", "+avx2,+avx512f", ""),
        ("generic", "", ""),
    ],
)
def test_registers_of_512_bits_are_asked_for_where_they_are_faster(processor: str, features: str, more: str) -> None:
    assert features_of(processor, features) == features + more


def target_in_a_process(**told: str) -> str:
    """Return what a process compiles for that is told this by its environment, and how wide it says that is."""
    code = "from locstream.fitting.vectors import *; print(*compiled_for(), vector_text())"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_CPU_")}
    asked = [sys.executable, "-c", code]
    return subprocess.run(asked, env={**kept, **told}, capture_output=True, text=True, check=True).stdout


def test_what_the_user_says_of_the_processor_stays() -> None:
    told = target_in_a_process(NUMBA_CPU_FEATURES="+sse2,+avx,+avx2,-avx512f", NUMBA_CPU_NAME="haswell")
    assert told.startswith("haswell frozenset(")
    assert "avx512" not in told
    assert told.strip().endswith(f"{LANES} float32 lanes (AVX2)")


def test_the_plainest_processor_has_no_wide_vectors() -> None:
    told = target_in_a_process(NUMBA_CPU_NAME="generic")
    assert told.strip() == f"generic frozenset() {LANES} float32 lanes (no wide vectors)"


def test_else_it_is_this_one() -> None:
    assert target_in_a_process().startswith(f"{binding.get_host_cpu_name()} frozenset(")
