"""How wide the fits run, in words that a user finds on the box of the processor."""

from __future__ import annotations

import pytest
from llvmlite import binding

from locstream.fitting.gaussian import LANES
from locstream.fitting.vectors import vector_text

X86 = {"sse2": True, "avx2": True}


@pytest.mark.parametrize(
    ("features", "lanes", "text"),
    [
        ({**X86, "avx512f": True}, 16, "16 float32 lanes (AVX-512)"),
        ({**X86, "avx512f": True}, 8, "8 float32 lanes (AVX2)"),
        (X86, 8, "8 float32 lanes (AVX2)"),
        ({"neon": True}, 8, "8 float32 lanes (NEON)"),
        ({**X86, "avx2": False}, 8, "8 float32 lanes (SSE2)"),
        ({}, 8, "8 float32 lanes (no vectors)"),
    ],
)
def test_lanes_go_with_the_instructions_that_make_them(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], lanes: int, text: str
) -> None:
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: features)
    assert vector_text(lanes) == text


def test_here_it_is_the_width_that_the_kernels_have() -> None:
    assert vector_text().startswith(f"{LANES} float32 lanes (")
