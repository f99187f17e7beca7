"""How wide the fits run on this processor, in words."""

from __future__ import annotations

from llvmlite import binding

from locstream.fitting.gaussian import LANES

NAMES = {"avx512f": "AVX-512", "avx2": "AVX2", "neon": "NEON", "sse2": "SSE2"}
"""Vector instructions, the widest first, as LLVM calls them and as everybody does."""
LANES_OF = {"avx512f": 16}
"""Fits run as wide only where so many of them go side by side."""


def vector_text(lanes: int = LANES) -> str:
    """Return how many molecules are fitted side by side and by which instructions: ``16 float32 lanes (AVX-512)``."""
    features = binding.get_host_cpu_features()
    named = (name for key, name in NAMES.items() if features.get(key) and lanes >= LANES_OF.get(key, 0))
    return f"{lanes} float32 lanes ({next(named, 'no vectors')})"
