#!/usr/bin/env python3
"""Set everything up, then run the demo or the tests. Needs only python3 (3.11 or newer) and pip.

    python3 dev.py demo [options of `locstream demo`]
    python3 dev.py test [options of pytest]

Both build `.venv` beside this file from the exact versions in requirements/dev.txt. The second
time they see that nothing has changed and start at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
LOCK = ROOT / "requirements" / "dev.txt"
STAMP = VENV / "ready"
PROGRAMS = {"systemd-analyze": "systemd", "Xvfb": "xvfb"}
"""Programs that tests use, and the Debian packages that hold them."""
LIBRARIES = {
    "EGL": "libegl1",
    "GL": "libgl1",
    "GLX_mesa": "libglx-mesa0",
    "dbus-1": "libdbus-1-3",
    "fontconfig": "libfontconfig1",
    "glib-2.0": "libglib2.0-0",
    "xcb-cursor": "libxcb-cursor0",
    "xcb-icccm": "libxcb-icccm4",
    "xcb-image": "libxcb-image0",
    "xcb-keysyms": "libxcb-keysyms1",
    "xcb-randr": "libxcb-randr0",
    "xcb-render-util": "libxcb-render-util0",
    "xcb-shape": "libxcb-shape0",
    "xcb-xkb": "libxcb-xkb1",
    "xkbcommon": "libxkbcommon0",
    "xkbcommon-x11": "libxkbcommon-x11-0",
}
"""Libraries that the window of `locstream view` needs, and the Debian packages that hold them."""
FONT = Path("/usr/share/fonts/truetype/dejavu"), "fonts-dejavu-core"
"""Letters for the window where there is no desktop."""
CHECKS = [
    ["ruff", "format", "--check", "."],
    ["ruff", "check", "."],
    ["mypy"],
    ["lint-imports"],
]


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command; end with its exit status if it fails."""
    done = subprocess.run([str(c) for c in command], cwd=ROOT, env=env, check=False)
    if done.returncode:
        sys.exit(f"dev.py: `{' '.join(str(c) for c in command[:6])} …` failed with status {done.returncode}")


def make_venv() -> None:
    """Create `.venv`; where Debian's python3 lacks venv, bring virtualenv by pip for this one use."""
    if (
        subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode
        == 0
    ):
        run(sys.executable, "-m", "venv", "--clear", VENV)
        return
    helper = ROOT / "build" / "virtualenv"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", helper, "virtualenv")
    run(
        sys.executable,
        "-m",
        "virtualenv",
        "--quiet",
        "--clear",
        VENV,
        env={**os.environ, "PYTHONPATH": str(helper)},
    )


def ensure_programs() -> None:
    """Install the Debian packages that some tests use; where this user may not, say which tests will be skipped."""
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    missing += [package for library, package in LIBRARIES.items() if find_library(library) is None]
    missing += [] if FONT[0].exists() else [FONT[1]]
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"dev.py: apt-get install {' '.join(missing)} …", flush=True)
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)
    else:
        print(f"dev.py: tests that need these Debian packages will be skipped: {' '.join(missing)}")
        print(f"dev.py: to run them too: sudo apt-get install {' '.join(missing)}")


def wanted() -> str:
    """Return what the environment must have been built from: interpreter, lock, metadata, this script."""
    parts = [sys.version.encode(), *(p.read_bytes() for p in (LOCK, ROOT / "pyproject.toml", Path(__file__)))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def ensure() -> None:
    """Bring `.venv` up to date; a no-op where it is."""
    if sys.version_info < (3, 11):  # noqa: UP036 - to be told in a sentence by the Python that is too old
        sys.exit(f"dev.py: Python {sys.version.split()[0]} is too old; locstream needs 3.11 or newer")
    if STAMP.exists() and STAMP.read_text() == wanted():
        return
    print("dev.py: setting up .venv (once; a few minutes on a slow line) …", flush=True)
    make_venv()
    python = BIN / "python"
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        LOCK,
    )
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "-e",
        ".",
    )
    STAMP.write_text(wanted())


def main(arguments: list[str]) -> None:
    """Dispatch the two commands."""
    if not arguments or arguments[0] not in ("demo", "test"):
        sys.exit(__doc__)
    verb, rest = arguments[0], arguments[1:]
    ensure()
    if verb == "demo":
        os.execv(BIN / "locstream", [str(BIN / "locstream"), "demo", *rest])
    ensure_programs()
    for check in CHECKS:
        print(f"dev.py: {' '.join(check)}", flush=True)
        run(BIN / check[0], *check[1:])
    os.execv(BIN / "python", [str(BIN / "python"), "-m", "pytest", *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
