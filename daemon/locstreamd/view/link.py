"""What the acquisition and the publisher's process say to each other."""

from __future__ import annotations

from locstream.stream.gate import Refusal
from locstream.stream.messages import Hello
from locstream.stream.wire import Dialect, Message

LINK_MESSAGES = 200
"""Messages that may wait on their way from the acquisition to the publisher, at either end."""
CATCH_UP_S = 5.0
"""Those who have not read or fetched every row when all is over have so long, s."""


class Order(Message, frozen=True, kw_only=True):
    """What the acquisition tells the publisher."""


class Serve(Order, frozen=True, kw_only=True, tag="serve"):
    """Bind the endpoints; so many messages may wait for a slow subscriber."""

    endpoints: tuple[str, ...]
    high_water_mark: int
    history: tuple[str, ...] = ()
    """Where rows from before are asked for."""
    guarded: tuple[str, str] | None = None
    """Where the stream and its history ask for keys."""


class Greet(Order, frozen=True, kw_only=True, tag="greet"):
    """Tell everybody what comes, and from now on everybody who subscribes; None: nothing comes for the time being."""

    hello: Hello | None


class Send(Order, frozen=True, kw_only=True, tag="send"):
    """Send message `seq` to all; topic, header and rows follow as buffers."""

    seq: int


class Close(Order, frozen=True, kw_only=True, tag="close"):
    """End."""


class Report(Message, frozen=True, kw_only=True):
    """What the publisher answers."""


class Here(Report, frozen=True, kw_only=True, tag="here"):
    """The process runs and waits for its first order."""


class Serving(Report, frozen=True, kw_only=True, tag="serving"):
    """The endpoints are bound."""


class Subscribers(Report, frozen=True, kw_only=True, tag="subscribers"):
    """So many programs follow."""

    count: int


class TurnedAway(Report, frozen=True, kw_only=True, tag="turned_away"):
    """So many connections and requests were refused since the last of these, and messages not understood."""

    refusals: tuple[tuple[Refusal, int], ...]
    rejected: int


class Failed(Report, frozen=True, kw_only=True, tag="failed"):
    """The endpoints cannot be had; the parts of the error."""

    what: str
    safe: str
    todo: str


ORDERS: Dialect[Order] = Dialect(Serve, Greet, Send, Close)
REPORTS: Dialect[Report] = Dialect(Here, Serving, Subscribers, TurnedAway, Failed)
