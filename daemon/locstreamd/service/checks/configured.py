"""The checks that a configuration asks for: its camera, its folder, its bounds, its ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from locstream.errors import ConfigError
from locstreamd.service.checks.camera import (
    check_adapters,
    check_buffer,
    check_calibration,
    demand_of,
    open_camera,
)
from locstreamd.service.checks.disk import check_folder, check_room, check_speed
from locstreamd.service.checks.extras import check_metrics
from locstreamd.service.checks.finding import Finding, Level, ok, refused
from locstreamd.service.checks.keys import check_keys
from locstreamd.service.checks.memory import check_memory
from locstreamd.service.checks.sockets import check_ports, check_sockets
from locstreamd.service.config import Config
from locstreamd.service.load_config import load_config
from locstreamd.service.names import folder_of_runs


def examine_configured(path: Path | None) -> Iterator[Finding]:
    """Give one finding after another.

    Parameters
    ----------
    path
        A configuration; None for the defaults, and no camera is then opened.
    """
    config, reading = read(path)
    yield reading
    sockets, here = check_sockets()
    yield sockets
    yield from check_ports(config.addresses)
    yield check_keys(config)
    yield check_metrics(config.metrics.listen)
    yield check_adapters(config.micromanager)
    info = None
    if config.micromanager is not None or config.simulation is not None:
        camera = open_camera(config, here)
        yield camera.finding
        info = camera.info
        if info is not None:
            yield check_calibration(config, info, camera.fallback)
            if config.micromanager is not None:
                yield check_buffer(config.micromanager, demand_of(info))
    yield check_memory(config)
    folder, recorded = folder_of_runs(config.acquisition.folder), config.acquisition.record_stack
    writable = check_folder(folder)
    yield writable
    if writable.level is not Level.PROBLEM:
        yield check_room(folder, config.results.reserve_mb, info, recorded=recorded)
        yield check_speed(folder, demand_of(info) if info is not None and recorded else None)


def read(path: Path | None) -> tuple[Config, Finding]:
    """Return the configuration, or the defaults where it is not valid, so that all else can still be looked at."""
    name = "configuration"
    if path is None:
        return Config(), ok(name, "none given: the defaults are taken, and no camera is opened")
    try:
        loaded = load_config(path)
    except ConfigError as error:
        return Config(), refused(name, error)
    return loaded.config, ok(name, f"{path} is valid; {len(loaded.origins)} settings differ from the defaults")
