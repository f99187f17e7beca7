"""The memory of the computer against what a configuration may take."""

from __future__ import annotations

import psutil

from locstreamd.fit.roster import UNDER_WAY_BYTES
from locstreamd.record.micromanager import MB as MIB
from locstreamd.record.micromanager import affordable_mb
from locstreamd.service.checks.finding import Finding, ok, problem, warning
from locstreamd.service.config import Config

NAME_MEMORY = "memory"

MB = 1_000_000
OWN_MB = 300
"""The daemon and its recorder without frames, as measured."""
WORKER_MB = 200
"""A fit worker with its kernels, as measured."""


def check_memory(config: Config) -> Finding:
    """Hold what the configuration may take at the most to the memory there is."""
    memory = psutil.virtual_memory()
    bounds = bounds_mb(config, memory.total)
    most_mb, total_mb, free_mb = sum(bounds.values()), memory.total / MB, memory.available / MB
    parts = ", ".join(f"{name} {mb:,.0f}" for name, mb in bounds.items())
    found = f"{free_mb:,.0f} of {total_mb:,.0f} MB available; a run takes up to {most_mb:,.0f} MB ({parts})"
    todo = "give smaller micromanager.buffer_mb, results.recorder_mb, workers.backlog_mb or workers.count"
    if most_mb > total_mb:
        return problem(NAME_MEMORY, found, todo)
    if most_mb > free_mb:
        return warning(NAME_MEMORY, found, f"end other programs, or {todo}")
    return ok(NAME_MEMORY, found)


def bounds_mb(config: Config, total_bytes: int) -> dict[str, float]:
    """Return what each part of an acquisition takes at the most, MB, by its name."""
    bounds = {
        "to disk": float(config.results.recorder_mb),
        "to fit": float(config.workers.backlog_mb),
        "workers": float(config.workers.own * WORKER_MB),
        "rest": float(OWN_MB),
    }
    if config.workers.listen:
        bounds["on the way to workers"] = UNDER_WAY_BYTES / MB
    if config.micromanager is not None:
        buffer = affordable_mb(config.micromanager.buffer_mb, total_bytes) * MIB / MB
        return {"camera": buffer, **bounds}
    return bounds
