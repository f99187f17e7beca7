"""Python and numba: can the kernels be compiled, kept and run, and how wide do they run here."""

from __future__ import annotations

import os
import platform
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from locstreamd.service.checks.finding import Finding, ok, problem, warning

OLDEST_PYTHON = (3, 11)
FEATURES = {"avx512f": "AVX-512", "avx2": "AVX2", "fma": "FMA", "neon": "NEON"}
"""Vector instructions worth naming, as LLVM calls them and as everybody does."""
VECTORS = ("avx512f", "avx2", "neon")

NAME_KERNELS = "kernels"


def check_python() -> Finding:
    """See that Python is new enough, and has 64 bits: buffers are larger than 4 GB."""
    version, bits = sys.version_info[:3], 8 * struct.calcsize("P")
    found = f"{'.'.join(map(str, version))}, {bits} bits, {platform.system()} {platform.release()}"
    if version[:2] < OLDEST_PYTHON:
        return problem("Python", found, "install Python 3.11 or newer and set locstream up with it")
    if bits < 64:
        return problem("Python", found, "install a 64-bit Python; a camera's buffer does not fit in 32 bits")
    return ok("Python", found)


def check_numba() -> Finding:
    """Say which numba, for which processor, and how many spots are fitted side by side."""
    import numba

    from locstream.fitting.gaussian import LANES
    from locstream.fitting.vectors import compiled_for

    processor, features = compiled_for()
    known = [shown for feature, shown in FEATURES.items() if feature in features]
    found = (
        f"numba {numba.__version__}; {processor} with {', '.join(known) or 'no wide vectors'}: "
        f"{LANES} spots side by side"
    )
    if not features.intersection(VECTORS):
        return warning("numba", found, "expect fits several times slower than documented; use a processor with AVX2")
    return ok("numba", found)


def check_kernel_cache() -> Finding:
    """See that numba has a folder to keep compiled kernels in; without one, every process compiles for itself.

    This imports the kernels, which is itself not possible where numba finds no such folder.
    """
    name = "kernel cache"
    todo = "set NUMBA_CACHE_DIR to a folder that this user may write to"
    try:
        from locstream.fitting.gaussian import fit_boxes
    except RuntimeError as error:  # what numba raises where it finds no place at all
        return problem(name, f"the kernels cannot be loaded: {error}", todo)
    folder = cache_folder(fit_boxes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return problem(name, f"{folder} cannot be written to: {error.strerror}", todo)
    chosen = os.environ.get("NUMBA_CACHE_DIR", "")
    return ok(name, f"{chosen if chosen and folder.is_relative_to(chosen) else folder} is writable")


def check_kernels() -> Finding:
    """Compile every kernel, or load it from the cache, and fit a picture with them."""
    from numba.core.errors import NumbaError

    from locstream.fitting import warmup
    from locstream.fitting.gaussian import fit_boxes

    kept = cache_folder(fit_boxes)
    before = set(kept.glob("*.nbc"))
    began = time.perf_counter()
    try:
        warmup()
    except (NumbaError, RuntimeError, OSError) as error:  # LLVM's own failures are among the last two
        return problem(
            NAME_KERNELS,
            f"they do not compile: {' '.join(str(error).split())[:200]}",
            "see that the service may map executable memory (MemoryDenyWriteExecute must be off), and that numba "
            "and llvmlite are of the versions in requirements/",
        )
    seconds = time.perf_counter() - began
    compiled = len(set(kept.glob("*.nbc")) - before)
    how = f"{compiled} of them compiled now and kept" if compiled else "all taken from the cache"
    return ok(NAME_KERNELS, f"ready in {seconds:.1f} s, {how}")


def cache_folder(kernel: Any) -> Path:
    """Return where numba keeps a compiled kernel."""
    return Path(kernel.stats.cache_path)
