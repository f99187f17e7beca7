"""An uploader that kills itself before its Nth operation on the file system.

    python uploading_process.py N QUEUE LAB

Exit status 0 where it came to its end before.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from locstream.upload.folder_filer import FolderFiler
from locstream.upload.queue import Queue
from locstream.upload.uploader import Uploader

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.truncate", "open")
left = int(sys.argv[1])


def before(event: str, arguments: tuple[object, ...]) -> None:
    global left
    if event in CHANGES:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)


queue, lab = Queue(Path(sys.argv[2])), Path(sys.argv[3])
with queue.uploader_lock():
    sys.addaudithook(before)
    Uploader(queue, FolderFiler(lab)).work()
