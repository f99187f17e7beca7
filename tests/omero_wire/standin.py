"""Start the stand-in for an OMERO server. Runs in the environment of make_environment.py.

    python standin.py --folder DIR [--ssl 0 --certificate server.p12 --password …] [--tcp 0]

Prints one line of JSON when it is ready: {"host": …, "ports": {"ssl": …, "tcp": …}, "pid": …, "folder": …}. Each
line on its standard input is a question (objects, sessions, kill_sessions, reset) and gets one line of JSON. It ends
when its standard input does, so that it never outlives whoever started it.
"""

import argparse
import json
import os
import sys
import threading
from pathlib import Path

import omero.all  # noqa: F401 - before Glacier2 is: else the exceptions of Glacier2 are none of Ice's
from stand_in.inside import kill_sessions, objects, reset, sessions
from stand_in.server import Certificate, Server

PATIENCE_S = 5
QUESTIONS = {"objects": objects, "sessions": sessions, "kill_sessions": kill_sessions, "reset": reset}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where files, faults.json and calls.jsonl lie")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tcp", type=int, metavar="PORT", help="port without encryption, 0: any free one")
    parser.add_argument("--ssl", type=int, metavar="PORT", help="port with encryption, 0: any free one")
    parser.add_argument("--certificate", type=Path, help="PKCS#12 file, or PEM together with --key")
    parser.add_argument("--key", type=Path)
    parser.add_argument("--password", default="")
    options = parser.parse_args()
    if options.ssl is None and options.tcp is None:
        options.tcp = 0
    if (options.ssl is None) != (options.certificate is None):
        parser.error("--ssl and --certificate go together")
    certificate = None
    if options.certificate is not None:
        certificate = Certificate(options.certificate, options.key, options.password)
    server = Server(options.folder, options.host, options.ssl, options.tcp, certificate)
    ready = {"host": options.host, "ports": server.ports(), "pid": os.getpid(), "folder": str(options.folder)}
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        question = QUESTIONS.get(line.strip())
        print(json.dumps(question(server) if question else {"unknown": line}), flush=True)
    ending = threading.Thread(target=server.close, daemon=True)
    ending.start()
    ending.join(PATIENCE_S)  # Ice waits for every client to let go of its connection, also for one that is stopped
    os._exit(0)


if __name__ == "__main__":
    main()
