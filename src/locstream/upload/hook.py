"""Queues a run that has just been finished, where its configuration asks for it."""

from __future__ import annotations

import logging
import time

from locstream.bundle.bundle import open_bundles
from locstream.bundle.files import RunFiles
from locstream.bundle.options import BundleOptions
from locstream.bundle.stored_settings import stored_settings
from locstream.errors import LocstreamError
from locstream.results.reader import ResultsReader
from locstream.upload.queue import Queue, default_queue_folder

log = logging.getLogger("locstream")


def queue_if_asked(files: RunFiles) -> None:
    """Queue a finished run where ``[bundle] upload`` is set.

    The run is finished whether this works or not: what goes wrong is logged with the command that does it later.

    Parameters
    ----------
    files
        Names of the run.
    """
    try:
        with ResultsReader(files.results) as results:
            header = results.header
        if not stored_settings(BundleOptions, header.config.get("bundle", {}), header).upload:
            return
        queue = Queue(default_queue_folder())
        for bundle in open_bundles(files.folder):
            if bundle.files.name == files.name:
                queue.add(bundle, time.time())
    except LocstreamError as error:
        log.error("%s was not queued for upload: %s; `locstream upload add %s`", files.name, error.what, files.folder)
