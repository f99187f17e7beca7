"""Opens the metrics endpoint where the configuration wants one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from locstream.errors import ConfigError
from locstream.stream.messages import Status
from locstreamd.addresses import Address
from locstreamd.service.config import MetricsSettings

Show = Callable[[Status], None]


@contextmanager
def metrics(settings: MetricsSettings) -> Iterator[Show]:
    """Answer scrapes while the context lasts; what it gives is to be called with every `Status`.

    Where the endpoint is off, nothing listens and the call does nothing.

    Raises
    ------
    ConfigError
        The port cannot be had, or prometheus-client is not installed.
    """
    if not settings.listen:
        yield lambda status: None
        return
    try:
        from locstreamd.view.prometheus import Endpoint
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("prometheus_client"):
            raise
        raise ConfigError(
            f"metrics.listen = {settings.listen!r} needs prometheus-client, which is not installed",
            safe="nothing was started",
            todo="`pip install 'locstream[metrics]'`, or remove metrics.listen",
        ) from error
    address = Address.parse(f"tcp://{settings.listen}")
    endpoint = Endpoint(address.plain_host, address.port)
    try:
        yield endpoint.show
    finally:
        endpoint.close()
