"""How the kernels are compiled, for which processor, and what their arrays are called."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding
from numba.core import config
from numba.core.codegen import get_host_cpu_features
from numba.core.compiler import Compiler

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

U = np.uintp
"""An index that numba does not test for being negative; the test would keep LLVM from vectorizing the loop."""


TWO_UNITS = frozenset({"icelake-server", "sapphirerapids", "emeraldrapids", "graniterapids", "graniterapids-d"})
"""Processors, as LLVM calls them, that multiply 512 bits in two units, and that it compiles for 256 bits for all that.

They lower their clock for 512, though less than those before them: on an Ice Lake server by a fifth, and fits and
detection take 0.82 to 0.89 of the time. Not tried on the others; nor is it known of those with a single such unit.
"""


def features_of(processor: str, features: str) -> str:
    """Return what numba is to tell LLVM of a processor: its features, and to use registers as wide as are fast."""
    return f"{features},-prefer-256-bit" if processor in TWO_UNITS and "+avx512f" in features.split(",") else features


_settings: Any = config  # made as it is imported, mypy does not see them
_features: Any = get_host_cpu_features  # not annotated
if _settings.CPU_FEATURES is None and _settings.CPU_NAME is None:  # else the user has said what to compile for
    # For the whole process; numba reads it when the first kernel is declared, and not again.
    _settings.CPU_FEATURES = features_of(binding.get_host_cpu_name(), _features())

# Not "nnan" and "ninf": guards against such numbers must stay. Those of a sum say ``sum < np.inf``: np.isfinite
# multiplies by 0, and "reassoc" lets LLVM do that to the terms.
_FAST = {"contract", "reassoc", "arcp", "nsz"}

exact = numba.njit(cache=True, nogil=True, error_model="numpy")
"""For what is added up in the order in which it is written."""
kernel = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
"""For loops that LLVM may vectorize."""
inlined = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST, forceinline=True)
"""The same, compiled into whoever calls it: a call passes every array as nine words, and ends a loop over lanes being
vector instructions."""
steady = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST - {"reassoc"}, forceinline=True)
"""The same, with the terms of a sum in the order in which they are written; for what is added up in many lanes at once,
which need no other. LLVM optimizes a kernel once more in each that calls it. Where it finds another order then, the
process that compiles them has other last digits than those that load what it has kept."""


_set_up: Any = Compiler.__init__  # not annotated


class ToldApart(Compiler):
    """numba's compiler, told what its decorators have no word for: the arrays of a call do not overlap."""

    def __init__(self, *arguments: Any) -> None:
        _set_up(self, *arguments)
        self.state.flags.noalias = True


apart = numba.njit(
    cache=True, nogil=True, error_model="numpy", fastmath=_FAST, forceinline=True, pipeline_class=ToldApart
)
"""The same, and whoever calls it vouches that what it writes overlaps nothing else that it is given: so LLVM need not
compare the addresses of all arrays before each loop, which takes as long as ten turns of it."""
