"""How wide the fits run on this processor, in words."""

from __future__ import annotations

from numba.core.registry import cpu_target

from locstream.fitting.gaussian import LANES

NAMES = {"avx512f": "AVX-512", "avx2": "AVX2", "neon": "NEON", "sse2": "SSE2"}
"""Vector instructions, the widest first, as LLVM calls them and as everybody does."""
LANES_OF = {"avx512f": 16}
"""Fits run as wide only where so many of them go side by side."""


def compiled_for() -> tuple[str, frozenset[str]]:
    """Return the processor that kernels are compiled for and its features, as LLVM calls them.

    They are this computer's, or what NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say.
    """
    _, processor, features = cpu_target.target_context.codegen().magic_tuple()
    return processor, frozenset(feature[1:] for feature in features.split(",") if feature.startswith("+"))


def vector_text(lanes: int = LANES) -> str:
    """Return how many molecules are fitted side by side and by which instructions: ``16 float32 lanes (AVX-512)``."""
    _, features = compiled_for()
    named = (name for key, name in NAMES.items() if key in features and lanes >= LANES_OF.get(key, 0))
    return f"{lanes} float32 lanes ({next(named, 'no wide vectors')})"
