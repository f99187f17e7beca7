"""The configuration of an acquisition: TOML in, a frozen model out, nothing in it ignored."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from locstream.bundle.metadata import Metadata
from locstream.bundle.options import BundleOptions
from locstream.calibration.camera import MAPS
from locstream.fitting import FitOptions
from locstream.rendering.options import RenderOptions
from locstream.settings import Settings
from locstream.stream.endpoints import CONTROL, HISTORY
from locstreamd.addresses import Address
from locstreamd.record.micromanager import MicroManagerOptions
from locstreamd.record.sample import SimulationOptions
from locstreamd.service.names import check_name


def _endpoint(text: str) -> str:
    return Address.parse(text).endpoint if text else text


Listen = Annotated[str, AfterValidator(_endpoint)]
"""An address to listen on; "" for none."""


class AcquisitionSettings(Settings):
    """What is recorded, and where it goes."""

    name: str = "acquisition"
    """Begins every file's name: letters, digits, ``. _ + -``. {date}, {time}, {instrument}, {sample}, {study} and {id}
    are filled in, as far as they are known: "{date}-{time}_{instrument}_{sample}" tells what a file is anywhere."""
    folder: Path = Path("acquisitions")
    """Folder for all files of the run; made where it is missing; {name} in it is replaced. Relative paths count from
    the working folder."""
    record_stack: bool = True
    """Keep the raw stack as NAME.ome.tif. Without it, frames that fitting cannot keep up with are lost loudly."""

    @field_validator("folder")
    @classmethod
    def _at_home(cls, folder: Path) -> Path:
        return folder.expanduser()

    @field_validator("name")
    @classmethod
    def _is_file_name(cls, name: str) -> str:
        return check_name(name)


class CameraSettings(Settings):
    """Calibration of one camera, found by its name and serial number."""

    name: str = "*"
    """The camera's name as Micro-Manager or the stack gives it; ``*`` matches every camera."""
    serial: str = ""
    """Serial number; empty matches every one. An entry with a matching serial number wins."""
    pixel_size_nm: Annotated[float, Field(ge=1, le=10_000)] | None = None
    """Edge of a pixel in the sample, nm. Not given: as the source says."""
    calibration: Path | None = None
    """What `locstream calibrate-camera` wrote: a file, or a folder of them, of which the latest is taken that fits
    the camera's serial number, its mode and the region. It has offset, gain, read noise and EM gain of every pixel."""
    mode: str = ""
    """Only a calibration of the mode of this name is taken; empty takes any."""
    offset_adu: float | Path | None = None
    """Level without light, ADU; a number, or a .npy or .tif map of one value a pixel. Not given: 0."""
    gain_e_per_adu: float | Path | None = None
    """Electrons per ADU; a number or a map. (Some software gives its inverse, ADU/e⁻.) Not given: 1."""
    read_noise_e: float | Path | None = None
    """Read noise, electrons rms; a number or a map. Not given: 0."""
    em_gain: Annotated[float, Field(ge=1)] | None = None
    """Gain of the electron-multiplying register. Not given: 1, there is none."""
    quantum_efficiency: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Photoelectrons per photon. 1 gives photoelectrons, which is what most programs call photons."""
    saturation_adu: PositiveFloat | None = None
    """Level from which a pixel counts as saturated, ADU. Not given: from the camera's bit depth."""

    @model_validator(mode="after")
    def _ignores_nothing(self) -> Self:
        if self.calibration is None and self.mode:
            raise ValueError("mode chooses among stored calibrations, and no calibration is given")
        given = [name for name in (*MAPS, "em_gain") if getattr(self, name) is not None]
        if self.calibration is not None and given:
            raise ValueError(f"{' and '.join(given)} would be ignored: the calibration {self.calibration} has its own")
        return self


class FitSettings(FitOptions):
    """How molecules are found and fitted. The defaults work untouched where `psf_sigma_nm` is roughly right."""

    astigmatism: Path | None = None
    """File that `locstream calibrate` wrote of the astigmatic lens: gives every molecule its depth. What is not set of
    model, psf_sigma_nm and box_px then follows from it. Not given: no depth."""

    @property
    def options(self) -> FitOptions:
        """What is said of fitting alone; what was not set stays so."""
        return FitOptions.model_validate(self.model_dump(exclude={"astigmatism"}, exclude_unset=True))

    @property
    def derived(self) -> tuple[str, ...]:
        """Names of what is not set and follows from the lens."""
        follows = ("psf_sigma_nm", "box_px", "model") if self.astigmatism is not None else ()
        return tuple(name for name in follows if name not in self.model_fields_set)

    @model_validator(mode="after")
    def _has_two_widths(self) -> Self:
        if self.astigmatism is not None and "model" in self.model_fields_set and self.model != "sigma_xy":
            raise ValueError(
                f'model = "{self.model}" gives no width of each axis, and astigmatism makes depth of these: '
                'set model = "sigma_xy", or leave it out'
            )
        return self


class WorkerSettings(Settings):
    """The processes that fit."""

    count: Annotated[int, Field(ge=0, le=256)] = 0
    """Local fit workers; 0 takes one fewer than there are processors, at least 1."""
    local: bool = True
    """false starts none on this computer: the camera then waits for the first worker that connects to `listen`."""
    listen: Listen = ""
    """Where workers of other computers connect, for example tcp://*:5580; each needs a key, see docs/workers.md."""
    nice: Annotated[int, Field(ge=0, le=19)] = 5
    """Niceness added to each, so that the camera comes first."""
    timeout_s: PositiveFloat = 30.0
    """A worker that holds one frame for longer is ended and its frames go to another, s."""
    backlog_mb: PositiveInt = 512
    """Memory for frames that wait for a worker, MB; more wait on disk, none is lost."""

    @property
    def own(self) -> int:
        """How many are started on this computer."""
        if not self.local:
            return 0
        return self.count or max(1, (os.cpu_count() or 2) - 1)

    @model_validator(mode="after")
    def _has_workers(self) -> Self:
        if not self.local and not self.listen:
            raise ValueError("local = false needs listen: no worker could ever connect")
        if not self.local and self.count:
            raise ValueError(f"count = {self.count} would be ignored: local = false starts none")
        return self


class ResultsSettings(Settings):
    """How committed results and raw frames reach the disk."""

    commit_hz: Annotated[float, Field(gt=0, le=200)] = 20.0
    """Batches committed to disk and published per second, at most."""
    fsync_interval_s: Annotated[float, Field(ge=0)] = 2.0
    """Force results to the platter this often, s; what is younger can be lost in a power cut. 0: after every batch."""
    fsync_stack: bool = False
    """Force every raw frame to the platter; slow, and only a power cut needs it."""
    reserve_mb: NonNegativeInt = 500
    """Room that must stay free on the disk, MB: before the start beside what the planned frames need, and while
    acquiring, where the camera is stopped in good order when it is reached. The files are finished in it."""
    recorder_mb: PositiveInt = 1024
    """Memory for frames on their way to the raw stack, MB; beyond it the camera's own buffer fills."""


class LoadSettings(Settings):
    """What gives way first when fitting falls behind the camera, see docs/service.md. The raw stack never does."""

    delayed_s: PositiveFloat = 1.0
    """From so far behind the camera the status comes more rarely, s."""
    paused_s: PositiveFloat = 5.0
    """From so far behind, medians stay as they are and the calibration is not checked, s."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.paused_s < self.delayed_s:
            raise ValueError(f"paused_s = {self.paused_s:g} comes before delayed_s = {self.delayed_s:g}")
        return self


class GuardedAddresses(NamedTuple):
    """Endpoints at which keys are asked for."""

    stream: str
    history: str
    control: str


class StreamSettings(Settings):
    """Who may watch."""

    listen: Listen = ""
    """A further address for the localization stream: tcp://127.0.0.1:5577 for every user of this computer, tcp://*:5577
    for its network. Whoever comes from the network needs a key, see docs/security.md."""
    keys: bool = False
    """Ask for keys on loopback, too. On the network they are always asked for."""
    history_listen: Listen = ""
    """Where those with a key fetch what was published before they came; empty: the next port after listen."""
    control_listen: Listen = ""
    """Where those with a key ask for the status, start and stop; empty: the second port after listen."""
    status_hz: Annotated[float, Field(gt=0, le=20)] = 2.0
    """Status messages per second."""
    high_water_mark: PositiveInt = 200
    """Messages that wait for a slow subscriber; it loses what comes beyond, and can tell by the numbers."""

    @property
    def guarded(self) -> GuardedAddresses | None:
        """Where keys are asked for; None where everybody who can connect may watch, or nobody can."""
        if not self.listen:
            return None
        stream = Address.parse(self.listen)
        if stream.loopback and not self.keys:
            return None
        history = Address.parse(self.history_listen) if self.history_listen else stream.after(HISTORY)
        control = Address.parse(self.control_listen) if self.control_listen else stream.after(CONTROL)
        return GuardedAddresses(stream.endpoint, history.endpoint, control.endpoint)

    @model_validator(mode="after")
    def _ignores_nothing(self) -> Self:
        guarded = self.guarded  # or it says why not
        given = [name for name in ("keys", "history_listen", "control_listen") if getattr(self, name)]
        if given and not self.listen:
            raise ValueError(f"{' and '.join(given)} would be ignored: listen names no address")
        if given and guarded is None:
            raise ValueError(
                f"{' and '.join(given)} would be open to every user of this computer: set keys = true, or leave it out"
            )
        return self


class MetricsSettings(Settings):
    """Numbers for a monitoring system, see docs/service.md."""

    listen: str = ""
    """Where Prometheus may scrape, for example 127.0.0.1:9464; loopback only. Empty: nowhere."""

    @field_validator("listen")
    @classmethod
    def _is_loopback(cls, text: str) -> str:
        with suppress(ValueError):
            if not text or Address.parse(f"tcp://{text}").loopback:
                return text
        raise ValueError(f"{text!r} is not a loopback address and port such as 127.0.0.1:9464")


class Config(Settings):
    """Everything an acquisition is told. Exactly one of ``[micromanager]`` and ``[simulation]`` names the source."""

    acquisition: AcquisitionSettings = AcquisitionSettings()
    micromanager: MicroManagerOptions | None = None
    """Record from a camera through Micro-Manager."""
    simulation: SimulationOptions | None = None
    """Record a simulated sample."""
    camera: tuple[CameraSettings, ...] = ()
    """Calibrations; the entry that matches the camera best is taken."""
    fit: FitSettings = FitSettings()
    render: RenderOptions = RenderOptions()
    workers: WorkerSettings = WorkerSettings()
    results: ResultsSettings = ResultsSettings()
    load: LoadSettings = LoadSettings()
    stream: StreamSettings = StreamSettings()
    metrics: MetricsSettings = MetricsSettings()
    bundle: BundleOptions = BundleOptions()
    metadata: Metadata = Metadata()

    @property
    def addresses(self) -> dict[str, Address]:
        """What is listened on, by the setting that names it."""
        guarded = self.stream.guarded
        named = {
            "stream.listen": self.stream.listen,
            "stream.history_listen": guarded.history if guarded is not None else "",
            "stream.control_listen": guarded.control if guarded is not None else "",
            "workers.listen": self.workers.listen,
            "metrics.listen": self.metrics.listen and f"tcp://{self.metrics.listen}",
        }
        return {setting: Address.parse(text) for setting, text in named.items() if text}

    @model_validator(mode="after")
    def _has_a_port_for_each(self) -> Self:
        ports: dict[int, str] = {}
        for setting, address in self.addresses.items():
            if (other := ports.setdefault(address.port, setting)) != setting:
                raise ValueError(f"{other} and {setting} ({address.endpoint}) are the same port; each needs its own")
        return self

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.micromanager is not None and self.simulation is not None:
            raise ValueError("both [micromanager] and [simulation] are given; one of them would be ignored")
        return self
