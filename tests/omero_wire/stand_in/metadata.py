"""IPixels, IContainer and IMetadata, as far as the clients of the tests ask them."""

from typing import Any

import omero

from .dispatch import Call, Service, served
from .loading import Loading
from .model import kind_called, kinds
from .store import Ref, Row


@served
class PixelsServiceI(Service, omero.api.IPixels):
    """Sizes and channels (omero-server, `PixelsImpl`)."""

    def retrievePixDescription(self, call: Call, number: int) -> Any:
        store, caller = self.server.store, call.caller()
        row = store.get(Ref("Pixels", number))
        if row is None or not caller.may_read(row):
            return None
        loading = Loading(store, caller)
        made = loading.load(row)
        for field in ("pixelsType", "dimensionOrder", "image"):
            loading.load(store.require(row[field]))
        for channel in store.referring(row.ref, "Channel", "pixels"):
            loading.fetch(row, "channels", channel)
            for field in ("logicalChannel", "statsInfo"):
                if channel[field] is not None:
                    loading.load(store.require(channel[field]))
        loading.finish()
        return made

    def setChannelGlobalMinMax(self, call: Call, number: int, index: int, low: float, high: float) -> None:
        """Set the range of one channel; a StatsInfo is made where there is none."""
        store, caller = self.server.store, call.writing()
        caller.must_write_in_a_group()
        pixels = store.require(Ref("Pixels", number))
        channels = store.referring(pixels.ref, "Channel", "pixels")
        if not 0 <= index < len(channels):
            raise omero.ApiUsageException(message=f"Pixels {number} has {len(channels)} channels, none at {index}")
        channel = channels[index]
        if not caller.may_change(channel):
            raise omero.SecurityViolation(message=f"Updating {channel.model.java}:Id_{channel.id} not allowed")
        values = {"globalMin": low, "globalMax": high}
        with store.transaction():
            stats = store.get(channel["statsInfo"])
            if stats is not None:
                store.change(stats, values, caller.event)
                return
            made = store.insert("StatsInfo", values, **_owned(caller))
            store.change(channel, {"statsInfo": made.ref}, caller.event)


@served
class ContainerI(Service, omero.api.IContainer):
    """Projects, datasets and images together (omero-server, `ContainerImpl`)."""

    def getImages(self, call: Call, name: str, numbers: list[int], options: Any) -> list[Any]:
        """Return images, by their own ids or those of their datasets, with pixels and datasets."""
        store, caller = self.server.store, call.caller()
        if name == "Image":
            found = [store.get(Ref("Image", n)) for n in numbers]
        elif name == "Dataset":
            links = [link for n in numbers for link in store.referring(Ref("Dataset", n), "DatasetImageLink", "parent")]
            found = [store.get(link["child"]) for link in links]
        else:
            raise omero.InternalException(message=f"the stand-in gets no images of a {name}")
        images: list[Row] = [row for row in found if row is not None and caller.may_read(row)]
        loading = Loading(store, caller)
        made = []
        for image in images:
            made.append(loading.load(image))
            for pixels in store.referring(image.ref, "Pixels", "image"):
                loading.fetch(image, "pixels", pixels)
                loading.load(store.require(pixels["pixelsType"]))
        loading.finish()
        return made

    def getCollectionCount(self, call: Call, name: str, field: str, numbers: list[int], options: Any) -> dict[int, int]:
        """Return how many elements a collection of each object has."""
        store, caller = self.server.store, call.caller()
        kind = kinds()[str(kind_called(name))]
        collection = kind.collections.get(field.rsplit("_", 1)[-1])
        if collection is None:
            raise omero.ApiUsageException(message=f"{kind.java} has no collection {field}")
        counts = {}
        for number in numbers:
            rows = store.referring(Ref(kind.root, number), collection.child, collection.back)
            counts[number] = sum(caller.may_read(row) for row in rows)
        return counts


@served
class MetadataI(Service, omero.api.IMetadata):
    """Annotations (omero-server, `MetadataImpl`)."""


def _owned(caller: Any) -> dict[str, int]:
    return {"owner": caller.user, "group": caller.group, "creation": caller.event, "update": caller.event}
