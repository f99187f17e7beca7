"""Room for the kernels to work in, made once and used for every frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

CACHE_LINE = 64
"""Bytes. A vector register that is loaded from two cache lines takes twice as long."""
STEP = 16
"""Lists that kernels run along are padded to a multiple of this: loops of known length become vector instructions."""

BLOCK = 64
"""Pixels of a row that are passed over together where none of them stands out."""


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Return zeros whose first element lies at the start of a cache line."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    block = np.zeros(size + CACHE_LINE, np.uint8)
    first = -block.ctypes.data % CACHE_LINE
    return block[first : first + size].view(dtype).reshape(shape)
