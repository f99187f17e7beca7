"""What one run does, and what is settled before its camera starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from locstream.bundle.files import RunFiles
from locstream.errors import ConfigError
from locstream.fitting.gaussian import LANES
from locstream.rendering.ome_zarr import require_zarr
from locstream.results.header import ResultsHeader
from locstream.stacks.place import with_stack_file
from locstream.stacks.source import FrameSource, Image, SourceInfo
from locstreamd.fit.task import Task
from locstreamd.service.cameras import Fallback, calibration_for
from locstreamd.service.config import Config
from locstreamd.service.depth import fit_for
from locstreamd.service.disk import DiskGuard
from locstreamd.service.names import new_run


@dataclass(frozen=True)
class Plan:
    """What one run does.

    Parameters
    ----------
    config
        The configuration in effect.
    source
        Where frames come from, open and not started; closed by the run.
    fallback
        The calibration where the configuration has no entry for the camera.
    reread
        Gives a frame by its index where the source is a stack on disk; nothing is then recorded.
    stack
        Where that lies, for the results: who looks at them finds the frames.
    pixel_size_nm
        Wins over what the configuration and the source say, nm.
    """

    config: Config
    source: FrameSource
    fallback: Fallback | None = None
    reread: Callable[[int], Image] | None = None
    stack: Path | None = None
    pixel_size_nm: float | None = None


@dataclass(frozen=True)
class Prepared:
    """What is settled before the camera starts.

    Parameters
    ----------
    files
        Where everything goes; the folder is made.
    task
        How frames are fitted.
    header
        What the results file says of the run.
    warnings
        Sentences for the user.
    """

    files: RunFiles
    task: Task
    header: ResultsHeader
    warnings: tuple[str, ...]


def prepare(plan: Plan) -> Prepared:
    """Settle a run of a camera, or of a stack in its place, and see that there is room for it.

    Raises
    ------
    LocstreamError
        As `settle`, or there is too little room, or the fit needs frames that are still to come; nothing was started.
    """
    config, info = plan.config, plan.source.info
    if config.fit.background != "local":
        raise ConfigError(
            f'fit.background = "{config.fit.background}" would be ignored: live, no median over the frames to come is '
            "known",
            safe="nothing was started",
            todo='set background = "local", and run `locstream fit` with it on the recorded stack afterwards',
        )
    prepared = settle(config, info, plan.fallback, plan.pixel_size_nm, plan.stack)
    recorded = plan.reread is None and config.acquisition.record_stack
    DiskGuard(prepared.files.folder, config.results.reserve_mb).check_before(info, recorded=recorded)
    return prepared


def settle(
    config: Config, info: SourceInfo, fallback: Fallback | None, pixel_size_nm: float | None, stack: Path | None
) -> Prepared:
    """Find the calibration, make the folder, see that nothing would be overwritten and that all can be written.

    Parameters
    ----------
    config, fallback, pixel_size_nm, stack
        As of `Plan`.
    info
        What the source of the frames says of itself.

    Raises
    ------
    LocstreamError
        One of these is not possible; nothing was started.
    """
    run = new_run(config.acquisition.folder, config.acquisition.name, info.camera, config.metadata)
    files = run.files
    calibration, warnings, file = calibration_for(config, info, fallback, pixel_size_nm)
    fit = fit_for(config, calibration.pixel_size_nm)
    if "ome-zarr" in config.bundle.also:
        require_zarr()
    files.prepare()
    header = ResultsHeader.from_source(
        info if stack is None else with_stack_file(info, stack, files.folder),
        calibration,
        acquisition_id=run.acquisition_id,
        name=files.name,
        started_s=run.started_s,
        calibration_file=file,
        astigmatism=fit.astigmatism,
        lanes=LANES,
        fit=fit.options.model_dump(mode="json"),
        config=fit.config.model_dump(mode="json"),
    )
    task = Task(calibration, info.height, info.width, fit.options, fit.astigmatism)
    return Prepared(files, task, header, tuple(warnings))
