"""Opens the source of frames that a configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from locstream.errors import ConfigError
from locstream.stacks.source import FrameSource
from locstreamd.record.micromanager import open_micromanager
from locstreamd.record.simulated import open_simulated
from locstreamd.service.cameras import Fallback
from locstreamd.service.config import CameraSettings, Config


class Opened(NamedTuple):
    """A source, and its calibration where the source itself knows it."""

    source: FrameSource
    fallback: Fallback | None


def source_table(config: Config, path: Path) -> str:
    """Return the name of the table that names the source of frames, in a configuration that was read from `path`.

    Raises
    ------
    ConfigError
        There is none.
    """
    for table in ("micromanager", "simulation"):
        if getattr(config, table) is not None:
            return table
    raise ConfigError(
        f"the configuration {path} names no source of frames",
        safe="nothing was started",
        todo="add a [micromanager] table (config/micromanager.toml is an example) or a [simulation] table",
    )


def open_source(config: Config) -> Opened:
    """Return the camera or the simulated sample. Raises `LocstreamError` where it cannot be opened."""
    if config.micromanager is not None:
        return Opened(open_micromanager(config.micromanager), None)
    if config.simulation is not None:
        simulated = config.simulation
        known = {name: getattr(simulated, name) for name in ("offset_adu", "gain_e_per_adu", "read_noise_e")}
        return Opened(open_simulated(simulated), Fallback(CameraSettings(**known)))
    raise LookupError("the configuration names no source")
