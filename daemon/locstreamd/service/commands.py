"""The verbs that the daemon gives to the one command `locstream`."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from locstream.bundle.metadata_form import read_metadata
from locstream.errors import ConfigError
from locstream.stacks.open import open_stack
from locstreamd.record.replay import ReplaySource
from locstreamd.service.cameras import estimated
from locstreamd.service.config import Config
from locstreamd.service.load_config import dotted, load_config
from locstreamd.service.plan import Plan
from locstreamd.service.recovery import recover_folder
from locstreamd.service.run import run_plan
from locstreamd.service.show_config import show_config
from locstreamd.service.sources import open_source, source_table

DEMO_FRAMES = 2_500
MAX_FPS = 100_000
MAX_NAME = 90


def demo(arguments: Sequence[str]) -> int:
    """Record, fit and render a simulated sample: the whole way, without a microscope."""
    parser = argparse.ArgumentParser(prog="locstream demo", description=demo.__doc__)
    parser.add_argument("--frames", type=int, help=f"frames to take ({DEMO_FRAMES:,})")
    parser.add_argument("--size", type=int, metavar="PX", help="width and height, px (256)")
    parser.add_argument("--fps", type=float, help="camera rate, frames per second (100)")
    parser.add_argument("--seed", type=int, help="another number gives another sample (1)")
    parser.add_argument("--workers", type=int, help="fit workers (one fewer than there are processors)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration; the options above win over it")
    parser.add_argument(
        "--out", type=Path, default=Path("demo-output"), help="folder for the run's own folder (%(default)s)"
    )
    given = parser.parse_args(arguments)
    if given.fps is not None and not 0 < given.fps <= MAX_FPS:
        raise ConfigError(f"--fps {given.fps:g} is outside 0 … {MAX_FPS:,} frames/s", safe="nothing was started")
    name = f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    settings = {
        "acquisition.name": name,
        "acquisition.folder": str(given.out / name),
        "simulation.frames": given.frames,
        "simulation.width": given.size,
        "simulation.height": given.size,
        "simulation.exposure_ms": 1000.0 / given.fps if given.fps is not None else None,
        "simulation.seed": given.seed,
        "workers.count": given.workers,
    }
    overrides = {key: value for key, value in settings.items() if value is not None}
    if given.config is None:
        overrides.setdefault("simulation.frames", DEMO_FRAMES)
    loaded = load_config(given.config, overrides)
    if loaded.config.simulation is None:
        loaded = load_config(given.config, {"simulation.frames": DEMO_FRAMES, **overrides})
    return run_plan(Plan(loaded.config, *open_source(loaded.config)))


def run(arguments: Sequence[str]) -> int:
    """Record from the camera of a configuration and fit while it runs. Ctrl-C stops it and finishes the files."""
    parser = argparse.ArgumentParser(prog="locstream run", description=run.__doc__)
    parser.add_argument(
        "config", type=Path, metavar="CONFIG.toml", help="configuration; config/ holds annotated examples"
    )
    parser.add_argument("--name", help="begins every file's name")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder for the files")
    parser.add_argument("--frames", type=int, help="stop after so many frames")
    _add_astigmatism(parser)
    _add_metadata(parser)
    given = parser.parse_args(arguments)
    loaded = load_config(given.config, _overrides(given))
    source = source_table(loaded.config, given.config)
    if given.frames is not None:
        loaded = load_config(given.config, {**_overrides(given), f"{source}.frames": given.frames})
    return run_plan(Plan(loaded.config, *open_source(loaded.config)))


def replay(arguments: Sequence[str]) -> int:
    """Feed a recorded stack, a file or a folder of frames, through the same pipeline as a camera."""
    parser = argparse.ArgumentParser(prog="locstream replay", description=replay.__doc__)
    add_stack_arguments(parser)
    parser.add_argument("--fps", type=float, help="frames per second (as fast as they are fitted)")
    given = parser.parse_args(arguments)
    config = stack_config(given)
    # Opened twice: one is read as the frames come, the other where fitting has fallen behind.
    with closing(open_stack(given.stack)) as again:
        source = ReplaySource(open_stack(given.stack), given.fps)
        return run_plan(Plan(config, source, estimated(again), again.read, given.stack, given.pixel_size_nm))


def add_stack_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every verb that works on a recorded stack is told."""
    parser.add_argument(
        "stack", type=Path, metavar="STACK", help="TIFF, OME-TIFF, .dax, Picasso .raw, or a folder of TIFFs"
    )
    add_fit_arguments(parser)


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how a stack is fitted, and where the files go."""
    parser.add_argument("--pixel-size-nm", type=float, metavar="NM", help="edge of a pixel in the sample, nm")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder for the files")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration: camera calibration, fit, rendering")
    parser.add_argument("--name", help="begins every file's name (the stack's own name)")
    _add_astigmatism(parser)
    _add_metadata(parser)


def stack_config(given: argparse.Namespace) -> Config:
    """Return the configuration for a recorded stack.

    Raises
    ------
    ConfigError
        It is not valid, or names a source of its own, which would be ignored.
    """
    loaded = load_config(given.config, _overrides(given))
    for table in ("micromanager", "simulation"):
        if getattr(loaded.config, table) is not None:
            raise ConfigError(
                f"the frames come from {given.stack}; [{table}] in {given.config} would be ignored",
                safe="nothing was started",
                todo=f"remove [{table}], or keep the camera and fit tables in a file of their own",
            )
    if "acquisition.name" not in loaded.origins:
        loaded = load_config(given.config, {**_overrides(given), "acquisition.name": _name_of(given.stack)})
    return loaded.config


def recover(arguments: Sequence[str]) -> int:
    """Finish the files of a run that was killed: every committed frame and localization is kept."""
    parser = argparse.ArgumentParser(prog="locstream recover", description=recover.__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the run")
    return recover_folder(parser.parse_args(arguments).folder)


def config(arguments: Sequence[str]) -> int:
    """Show the effective configuration: every key, its value, where it came from and what it means."""
    parser = argparse.ArgumentParser(prog="locstream config", description=config.__doc__)
    parser.add_argument("verb", choices=["show"])
    parser.add_argument("file", nargs="?", type=Path, metavar="CONFIG.toml", help="configuration (defaults only)")
    given = parser.parse_args(arguments)
    print(show_config(load_config(given.file)), end="")
    return 0


def _add_astigmatism(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--astigmatism", type=Path, metavar="FILE", help="what `locstream calibrate` wrote: gives molecules their depth"
    )


def _add_metadata(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metadata", type=Path, metavar="FILE", help="sample, label, people: a form that `locstream metadata` prints"
    )


def _overrides(given: argparse.Namespace) -> dict[str, object]:
    """Return the values of the command line that stand for settings."""
    found: dict[str, object] = {}
    if given.name is not None:
        found["acquisition.name"] = given.name
    if given.out is not None:
        found["acquisition.folder"] = str(given.out)
    if given.astigmatism is not None:
        found["fit.astigmatism"] = str(given.astigmatism.absolute())
    if given.metadata is not None:
        told = dotted(read_metadata(given.metadata))
        found |= {f"metadata.{key}": value for key, value in told if value != ""}  # else the instrument's own stays
    return found


def _name_of(stack: Path) -> str:
    """Return a name for the files of a replay: the stack's own, in letters that every file system takes."""
    name = stack.resolve().name
    if stack.is_file():
        name = re.sub(r"(\.ome)?\.(tiff?|dax|inf|raw|npy|stk|zip)$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._+-")[:MAX_NAME] or "replay"
