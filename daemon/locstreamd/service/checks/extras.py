"""What is installed beside the daemon: looked for, never imported."""

from __future__ import annotations

from importlib.util import find_spec

from locstream.omero import client_library
from locstreamd.service.checks.finding import Finding, ok, problem


def check_viewer() -> Finding:
    """Say whether the viewer's drawing library (OpenGL) and its window toolkit are installed."""
    return _optional("viewer", {"vispy": "OpenGL drawing", "PySide6": "windows"}, "viewer")


def check_omero() -> Finding:
    """Say whether finished runs can be filed in OMERO: by a library in this Python, or in an environment beside it."""
    if all(find_spec(module) is not None for module in client_library.NEEDED):
        return ok("OMERO", "installed: omero (upload)")
    if client_library.is_ready():
        return ok("OMERO", f"installed: omero (upload), in {client_library.environment()}")
    return ok("OMERO", "not installed (omero); if wanted: `locstream omero install`")


def check_metrics(listen: str) -> Finding:
    """See that the library behind the metrics endpoint is there, where a configuration wants one.

    Parameters
    ----------
    listen
        ``[metrics] listen``; "" is off.
    """
    found = _optional("metrics", {"prometheus_client": "Prometheus endpoint"}, "metrics")
    if listen and find_spec("prometheus_client") is None:
        return problem(
            "metrics",
            f"metrics.listen = {listen!r}, and prometheus-client is not installed",
            "`pip install 'locstream[metrics]'`, or remove metrics.listen",
        )
    return found


def _optional(name: str, modules: dict[str, str], extra: str) -> Finding:
    """Say what of an extra is there; what nobody asked for is no fault where it is missing."""
    missing = [module for module in modules if find_spec(module) is None]
    if not missing:
        return ok(name, "installed: " + ", ".join(f"{module} ({what})" for module, what in modules.items()))
    return ok(name, f"not installed ({', '.join(missing)}); if wanted: `pip install 'locstream[{extra}]'`")
