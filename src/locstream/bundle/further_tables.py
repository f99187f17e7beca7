"""Writes the localizations of a finished run in further forms, for programs that read no other."""

from __future__ import annotations

from locstream.bundle.files import RunFiles
from locstream.bundle.options import BundleOptions
from locstream.bundle.whole_file import whole_file
from locstream.errors import LocstreamError
from locstream.formats.pyme import write_pyme
from locstream.formats.thunderstorm import ThunderStormWriter
from locstream.results.reader import ResultsReader


def write_further_tables(
    files: RunFiles, results: ResultsReader, options: BundleOptions, *, overwrite: bool = False
) -> None:
    """Write what is asked for, each file complete or not at all; memory is that of a block of rows.

    Parameters
    ----------
    files
        Names of the run.
    results
        Its finished results.
    options
        Which forms.
    overwrite
        Replace files of an earlier try.

    Raises
    ------
    LocstreamError
        A file exists already, or the disk refuses.
    """
    header = results.header
    try:
        if "thunderstorm" in options.also:
            with whole_file(files.thunderstorm, overwrite=overwrite) as part, part.open("w", newline="") as file:
                writer = ThunderStormWriter(file, header.pixel_size_nm, depth=header.depth)
                for block in results.blocks():
                    writer.write(block)
        if "pyme" in options.also:
            with whole_file(files.pyme, overwrite=overwrite) as part:
                write_pyme(part, results.blocks(), header.pixel_size_nm, header.pyme(), depth=header.depth)
    except OSError as error:
        raise LocstreamError(
            f"further tables of {files.name} could not be written to {files.folder}: {error.strerror or error}",
            safe="frames and localizations are as they were",
            todo=f"make room, then `locstream recover {files.folder}`",
        ) from error
