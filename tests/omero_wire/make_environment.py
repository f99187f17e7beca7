"""Make the environment in which tests speak with OMERO's client library, and in which the stand-in server runs.

    .venv/bin/python tests/omero_wire/make_environment.py

The product's own way to make it (`locstream omero install`: Ice is compiled once, which takes minutes), with what the
tests need besides. It is another environment than the product's; the compiled Ice is shared.
"""

from __future__ import annotations

from pathlib import Path

from locstream.kernel_cache import cache_home
from locstream.omero import installation
from locstream.omero.client_library import OMERO, TAG, is_made

STAND_IN = ("tables==3.11.1", "tifffile==2026.3.3")
"""What the stand-in server reads images and keeps tables with."""
REQUIREMENTS = (OMERO, "ezomero==3.2.3", *STAND_IN)
ENVIRONMENT = cache_home() / f"omero-{TAG}"


def python_of_environment() -> Path | None:
    """Return the interpreter of the environment, or None where there is none of these versions."""
    return ENVIRONMENT / "bin" / "python" if is_made(ENVIRONMENT, REQUIREMENTS) else None


if __name__ == "__main__":
    print(installation.make_environment(ENVIRONMENT, REQUIREMENTS, lambda said: print(said, flush=True)))
