"""The names of an acquisition's files, in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from locstream.errors import LocstreamError

CRATE = "ro-crate-metadata.json"
"""The name that RO-Crate wants."""

EMPTY_STACK_BYTES = 4096
"""A stack without a frame is smaller than this."""


@dataclass(frozen=True)
class RunFiles:
    """Where the files of one acquisition lie.

    Parameters
    ----------
    folder
        The folder of the run.
    name
        What every file's name begins with.
    """

    folder: Path
    name: str

    @property
    def live_results(self) -> Path:
        """Results while they grow."""
        return self.folder / f"{self.name}.live.h5"

    @property
    def results(self) -> Path:
        """Finished results, a Picasso localization file."""
        return self.folder / f"{self.name}_locs.hdf5"

    @property
    def live_stack(self) -> Path:
        """Raw stack while it grows."""
        return self.folder / f"{self.name}.live.tif"

    @property
    def stack(self) -> Path:
        """Finished raw stack."""
        return self.folder / f"{self.name}.ome.tif"

    @property
    def truth(self) -> Path:
        """Where the simulated molecules really were."""
        return self.folder / f"{self.name}_truth.hdf5"

    @property
    def summary(self) -> Path:
        """Short machine-readable summary."""
        return self.folder / f"{self.name}_summary.json"

    @property
    def config(self) -> Path:
        """The configuration in effect."""
        return self.folder / f"{self.name}_config.toml"

    @property
    def camera(self) -> Path:
        """A copy of the stored camera calibration that was used."""
        return self.folder / f"{self.name}_camera.h5"

    @property
    def astigmatism(self) -> Path:
        """The astigmatism calibration that gave depth."""
        return self.folder / f"{self.name}_astigmatism.json"

    @property
    def thunderstorm(self) -> Path:
        """Localizations as a ThunderSTORM table, where asked for."""
        return self.folder / f"{self.name}_thunderstorm.csv"

    @property
    def pyme(self) -> Path:
        """Localizations as a PYME table, where asked for."""
        return self.folder / f"{self.name}_pyme.h5r"

    @property
    def yaml(self) -> Path:
        """Picasso's metadata beside the results."""
        return self.folder / f"{self.name}_locs.yaml"

    @property
    def picture(self) -> Path:
        """The reconstruction to look at."""
        return self.folder / f"{self.name}_recon.png"

    @property
    def reconstruction(self) -> Path:
        """The reconstruction to measure in."""
        return self.folder / f"{self.name}_recon.ome.tif"

    @property
    def ome_zarr(self) -> Path:
        """The reconstruction as a folder of OME-Zarr, where asked for."""
        return self.folder / f"{self.name}_recon.ome.zarr"

    @property
    def lock(self) -> Path:
        """Held by the process that acquires, finishes or recovers the run."""
        return self.folder / f"{self.name}.run.lock"

    @property
    def every(self) -> tuple[Path, ...]:
        """All that a run may leave, those that grow first."""
        return (self.live_results, self.live_stack, *self.finished)

    @property
    def finished(self) -> tuple[Path, ...]:
        """All that a finished run may consist of: files, and one folder."""
        tables = (self.results, self.yaml, self.thunderstorm, self.pyme, self.truth)
        inputs = (self.config, self.camera, self.astigmatism)
        pictures = (self.picture, self.reconstruction, self.ome_zarr)
        return (self.stack, *tables, *pictures, *inputs, self.summary)

    def name_of(self, path: Path) -> str:
        """Return by which name a file of the run is known, from the folder on."""
        return path.relative_to(self.folder).as_posix()

    @property
    def crate(self) -> Path:
        """What every file of the folder is and what it was made from; one for all runs in it."""
        return self.folder / CRATE

    def discard_unstarted(self) -> None:
        """Remove the live files of a run that ended before its first frame; a stack that holds more is left."""
        for path in (self.live_results, self.live_results.with_suffix(".lock")):
            path.unlink(missing_ok=True)
        if self.stack_is_empty:
            self.live_stack.unlink(missing_ok=True)

    @property
    def stack_is_empty(self) -> bool:
        """True where the live stack is not there or holds no more than the head of a file."""
        return not self.live_stack.exists() or self.live_stack.stat().st_size <= EMPTY_STACK_BYTES

    def prepare(self) -> None:
        """Make the folder and see that nothing would be overwritten.

        Raises
        ------
        LocstreamError
            The folder cannot be written, or holds files of a run of this name.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LocstreamError(
                f"the folder {self.folder} cannot be made: {error.strerror}",
                safe="nothing was started",
                todo="choose another folder, or have this one made writable",
            ) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise LocstreamError(
                f"the folder {self.folder} cannot be written",
                safe="nothing was started",
                todo="choose another folder, or have this one made writable",
            )
        for path in self.every:
            if path.exists():
                unfinished = path in (self.live_results, self.live_stack)
                raise LocstreamError(
                    f"{path} exists already; locstream never overwrites a run",
                    safe="nothing was touched",
                    todo=f"`locstream recover {self.folder}` finishes it"
                    if unfinished
                    else "choose another folder or another name",
                )
