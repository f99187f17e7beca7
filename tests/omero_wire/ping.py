"""Runs in the environment of make_environment.py: does the Ice that was built here work?

A server and a client in this process speak over TCP: a call there and back with a payload, an exception of OMERO's own
across the wire, and the text of an error for which Ice looks into the Python frame that called it. Prints JSON.
"""

import json
import sys

import Ice
import omero
import omero.gateway
from omero.grid import RawAccessRequest
from omero.model import ImageI
from omero.rtypes import rstring


class Store(omero.api.RawFileStore):
    """Its operations are dispatched asynchronously, as OMERO declares them."""

    def write_async(self, answer, data, position, length, current=None):
        if position < 0:
            answer.ice_exception(omero.ApiUsageException(message="no such place"))
            return
        self.content = bytes(data)
        answer.ice_response()

    def read_async(self, answer, position, length, current=None):
        answer.ice_response(self.content[position : position + length])


def main() -> None:
    properties = Ice.createProperties()
    properties.setProperty("Ice.MessageSizeMax", "250000")
    settings = Ice.InitializationData()
    settings.properties = properties
    communicator = Ice.initialize(settings)
    try:
        adapter = communicator.createObjectAdapterWithEndpoints("a", "tcp -h 127.0.0.1")
        identity = communicator.stringToIdentity("store")
        proxy = adapter.add(Store(), identity)
        adapter.activate()
        store = omero.api.RawFileStorePrx.uncheckedCast(
            communicator.stringToProxy(str(proxy)).ice_collocationOptimized(False)
        )
        content = bytes(range(256)) * 4096
        store.write(content, 0, len(content))
        same = store.read(0, len(content)) == content
        try:
            store.write(b"", -1, 0)
            crossed = ""
        except omero.ApiUsageException as error:
            crossed = error.message
        try:
            communicator.stringToProxy(3)
            wrong = ""
        except ValueError as error:
            wrong = str(error)
    finally:
        communicator.destroy()
    image = ImageI()
    image.name = rstring("pores")
    found = {
        "same": same,
        "crossed": crossed,
        "wrong": wrong,
        "ice": Ice.stringVersion(),
        "image": image.name.val,
        "request": RawAccessRequest().__class__.__name__,
        "python": list(sys.version_info[:2]),
    }
    print(json.dumps(found))


main()
