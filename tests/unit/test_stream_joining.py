"""What the joining of a stream asks for, gives, holds and refuses, one situation at a time."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from locstream.errors import MessageError
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.digest import RowsDigest
from locstream.stream.events import Began, Ended, Event, Rows
from locstream.stream.joining import HELD_OVERHEAD_BYTES, UNHERALDED_LIMIT, WAITING_LIMIT, Joining
from locstream.stream.messages import Batch, Chunk, End, Fetch, Hello, Status, own_fields
from results_example import localizations

ALL = localizations(np.arange(1000) // 10)
ROW = LOCALIZATION.itemsize


def hello(seq: int = 0, acquisition: str = "a") -> Hello:
    return Hello(
        acquisition=acquisition,
        seq=seq,
        name="n",
        software="s",
        width=64,
        height=48,
        pixel_size_nm=130.0,
        started_s=0.0,
    )


def say(
    joining: Joining, seq: int, first: int, rows: int, *, acquisition: str = "a", table: Localizations = ALL
) -> list[Event]:
    batch = Batch(acquisition=acquisition, seq=seq, frame_first=0, frame_last=0, row_first=first, rows=rows)
    return joining.hear(batch, [table[first : first + rows].tobytes()])


def status(seq: int, acquisition: str = "a") -> Status:
    return Status(acquisition=acquisition, seq=seq, state="acquiring", ledger=LedgerSnapshot())


def end(seq: int, rows: int, acquisition: str = "a", digest: str = "") -> End:
    return End(acquisition=acquisition, seq=seq, outcome="complete", frames=100, rows=rows, digest=digest)


def answer(
    joining: Joining, request: Fetch | None, *, committed: int, most: int = 1000, ended: bool = False
) -> list[Event]:
    assert request is not None
    first = request.from_row
    rows = max(0, min(committed - first, most, request.max_rows or most))
    chunk = Chunk(
        id=request.id, acquisition=request.acquisition, row_first=first, rows=rows, committed=committed,
        more=first + rows < committed, ended=ended, fields=own_fields(),
    )  # fmt: skip
    return joining.take(chunk, [ALL[first : first + rows].tobytes()])


def given(events: list[Event]) -> list[tuple[int, int]]:
    """The spans of rows, after seeing that they are the right ones."""
    spans = []
    for event in events:
        if isinstance(event, Rows):
            first, beyond = event.row_first, event.row_first + len(event.table)
            assert event.table.tobytes() == ALL[first:beyond].tobytes()
            spans.append((first, beyond))
    return spans


def test_from_the_beginning_nothing_is_fetched() -> None:
    joining = Joining(0)
    assert joining.hear(hello(), []) == [Began("a", hello())]
    assert given(say(joining, 0, 0, 10)) == [(0, 10)]
    assert given(say(joining, 1, 10, 5)) == [(10, 15)]
    assert joining.request() is None
    assert joining.next_row == 15


def test_a_late_joiner_fetches_and_goes_over_to_the_live_rows() -> None:
    joining = Joining(0)
    joining.hear(hello(seq=40), [])
    first = joining.request()
    assert first == Fetch(id=1, acquisition="a", from_row=0, max_rows=0)
    assert joining.request() is None, "one request at a time"
    assert given(say(joining, 40, 300, 10)) == []
    assert given(answer(joining, first, committed=310, most=200)) == [(0, 200)]
    second = joining.request()
    assert second == Fetch(id=2, acquisition="a", from_row=200, max_rows=100)
    assert given(answer(joining, second, committed=320)) == [(200, 300), (300, 310)]
    third = joining.request()
    assert third is not None, "there were more rows on disk than were heard"
    assert given(answer(joining, third, committed=320)) == [(310, 320)]
    assert given(say(joining, 41, 310, 10)) == []
    assert given(say(joining, 42, 320, 1)) == [(320, 321)]
    assert joining.request() is None


def test_a_joiner_that_wants_what_comes_now_begins_with_the_next_batch() -> None:
    joining = Joining(None)
    joining.hear(hello(seq=40), [])
    assert joining.next_row is None
    request = joining.request()
    assert given(say(joining, 40, 300, 10)) == [(300, 310)]
    assert answer(joining, request, committed=310) == []
    assert joining.request() is None


def test_what_comes_now_is_what_is_not_on_disk_yet() -> None:
    joining = Joining(None)
    joining.hear(hello(seq=40), [])
    assert answer(joining, joining.request(), committed=300) == []
    assert given(say(joining, 40, 295, 10)) == [(300, 305)]
    joining.hear(end(44, 330), [])
    assert given(answer(joining, joining.request(), committed=330)) == [(305, 330)]


def test_an_acquisition_that_passed_by_before_it_was_joined_is_ended() -> None:
    joining = Joining(None)
    joining.hear(hello(seq=40), [])
    assert joining.hear(hello(acquisition="b"), []) == []
    events = answer(joining, joining.request(), committed=300)
    assert [type(event) for event in events] == [Ended, Began]
    unheard = Joining(None)
    unheard.hear(hello(seq=40), [])
    assert unheard.skip() == []
    unheard.hear(hello(acquisition="b"), [])
    assert [type(event) for event in unheard.skip()] == [Ended, Began]


def test_a_joiner_may_begin_in_the_middle_of_a_batch_or_in_the_future() -> None:
    joining = Joining(305)
    joining.hear(hello(), [])
    assert given(say(joining, 0, 0, 303)) == []
    assert given(say(joining, 1, 303, 10)) == [(305, 313)]


def test_a_gap_in_the_rows_is_fetched() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 0, 0, 10)
    assert given(say(joining, 2, 20, 10)) == []
    assert joining.held_bytes == 10 * ROW + HELD_OVERHEAD_BYTES
    request = joining.request()
    assert request is not None
    assert (request.from_row, request.max_rows) == (10, 10)
    assert given(answer(joining, request, committed=30)) == [(10, 20), (20, 30)]
    assert joining.held_bytes == 0


def test_a_gap_in_the_numbers_alone_asks_for_a_look() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 0, 0, 10)
    joining.hear(status(3), [])
    assert given(answer(joining, joining.request(), committed=15)) == [(10, 15)]
    assert joining.request() is None


@pytest.mark.parametrize("seq", [7, 0], ids=["lost", "the publisher began to count again"])
def test_a_greeting_after_a_reconnection_asks_for_a_look(seq: int) -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 0, 0, 10)
    joining.hear(hello(seq=seq), [])
    assert joining.request() is not None


def test_a_greeting_for_somebody_else_asks_for_nothing() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 0, 0, 10)
    assert joining.hear(hello(seq=1), []) == []
    assert joining.request() is None


def test_what_is_held_is_bounded_and_fetched_again() -> None:
    limit = 2 * (10 * ROW + HELD_OVERHEAD_BYTES)
    joining = Joining(0, held_limit_bytes=limit)
    joining.hear(hello(seq=9), [])
    request = joining.request()
    for i in range(5):
        say(joining, 9 + i, 100 + 10 * i, 10)
        assert joining.held_bytes <= limit
    assert given(answer(joining, request, committed=100)) == [(0, 100)]
    request = joining.request()
    assert request is not None
    assert (request.from_row, request.max_rows) == (100, 30), "the oldest were let go"
    assert given(answer(joining, request, committed=150)) == [(100, 130), (130, 140), (140, 150)]


def test_a_batch_that_cannot_be_held_is_known_to_be_missing() -> None:
    joining = Joining(0, held_limit_bytes=0)
    joining.hear(hello(seq=9), [])
    request = joining.request()
    say(joining, 9, 100, 10)
    answer(joining, request, committed=100)
    assert given(answer(joining, joining.request(), committed=110)) == [(100, 110)]


def test_a_history_that_is_not_so_far_yet_is_asked_again() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 1, 10, 10)
    assert given(answer(joining, joining.request(), committed=0)) == []
    assert given(answer(joining, joining.request(), committed=20)) == [(0, 10), (10, 20)]


def test_an_answer_that_was_given_up_is_passed_over() -> None:
    joining = Joining(0)
    joining.hear(hello(seq=1), [])
    late = joining.request()
    joining.forget_request()
    now = joining.request()
    assert answer(joining, late, committed=10) == []
    assert given(answer(joining, now, committed=20)) == [(0, 20)]
    assert answer(joining, now, committed=20) == []


def test_the_end_waits_for_the_last_row() -> None:
    digest = RowsDigest()
    digest.add(ALL[:30])
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 0, 0, 10)
    the_end = end(2, 30, digest=digest.hexdigest())
    assert joining.hear(the_end, []) == []
    events = answer(joining, joining.request(), committed=30)
    assert given(events) == [(10, 30)]
    assert events[-1] == Ended("a", 30, 0, digest.hexdigest(), the_end, True)
    assert events[-1].verified is True
    assert joining.ended
    assert joining.request() is None


def test_a_digest_that_differs_is_told() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 0, 0, 10)
    (ended,) = joining.hear(end(1, 10, digest="0" * 64), [])
    assert isinstance(ended, Ended)
    assert ended.verified is False


@pytest.mark.parametrize(("start", "digest"), [(0, ""), (5, "0" * 64)], ids=["none was published", "joined late"])
def test_a_digest_is_not_judged_where_it_cannot_be(start: int, digest: str) -> None:
    joining = Joining(start)
    joining.hear(hello(), [])
    say(joining, 0, 0, 10)
    (ended,) = joining.hear(end(1, 10, digest=digest), [])
    assert isinstance(ended, Ended)
    assert ended.verified is None


def test_an_end_that_went_by_unheard_is_found_after_a_silence() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 0, 0, 10)
    joining.nudge()
    assert answer(joining, joining.request(), committed=10, ended=False) == []
    assert joining.request() is None, "one look is enough"
    joining.nudge()
    events = answer(joining, joining.request(), committed=30, ended=True)
    assert given(events) == [(10, 30)]
    assert isinstance(events[-1], Ended)
    assert events[-1].end is None


def test_an_end_that_went_by_unheard_comes_with_the_history() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    joining.nudge()
    request = joining.request()
    assert request is not None
    chunk = Chunk(
        id=request.id, acquisition="a", row_first=0, rows=5, committed=5, more=False, ended=True, fields=own_fields(),
        end=end(7, 5),
    )  # fmt: skip
    events = joining.take(chunk, [ALL[:5].tobytes()])
    assert given(events) == [(0, 5)]
    assert isinstance(events[-1], Ended)
    assert events[-1].end == end(7, 5)


def test_the_next_acquisition_waits_until_the_one_before_is_complete() -> None:
    joining = Joining(20)
    joining.hear(hello(), [])
    say(joining, 0, 0, 30)
    assert joining.hear(hello(acquisition="b"), []) == []
    assert say(joining, 0, 0, 5, acquisition="b") == []
    events = answer(joining, joining.request(), committed=40)
    assert given(events) == [(30, 40)]
    assert isinstance(events[1], Ended)
    assert events[2] == Began("b", hello(acquisition="b"))
    assert given(answer(joining, joining.request(), committed=5)) == [(0, 5)], "from its first row, wherever we joined"


def test_after_its_end_the_next_acquisition_begins_at_once() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    joining.hear(end(0, 0), [])
    assert joining.hear(hello(acquisition="b"), []) == [Began("b", hello(acquisition="b"))]
    assert given(say(joining, 0, 0, 5, acquisition="b")) == [(0, 5)]


def test_a_straggler_does_not_begin_an_ended_acquisition_again() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    joining.hear(end(0, 0), [])
    assert joining.hear(hello(), []) == []
    joining.hear(hello(acquisition="b"), [])
    for straggler in (hello(), status(5), end(0, 0)):
        assert joining.hear(straggler, []) == []
    assert joining.acquisition == "b"
    assert joining.request() is None


def test_acquisitions_that_pass_by_are_counted() -> None:
    joining = Joining(0)
    joining.hear(hello(seq=1), [])
    for i in range(WAITING_LIMIT + 3):
        joining.hear(hello(acquisition=f"b{i}"), [])
    assert joining.missed == 3


def test_without_a_greeting_the_history_knows_the_columns() -> None:
    joining = Joining(0)
    for seq in range(UNHERALDED_LIMIT):
        assert say(joining, seq, 10 * seq, 10) == []
    assert joining.acquisition is None
    assert say(joining, UNHERALDED_LIMIT, 200, 10) == [Began("a", None)]
    assert given(answer(joining, joining.request(), committed=210)) == [(0, 210)]
    assert given(say(joining, UNHERALDED_LIMIT + 1, 210, 10)) == [(210, 220)]


def test_an_end_without_a_greeting_is_enough() -> None:
    joining = Joining(0)
    assert joining.hear(end(50, 30), []) == [Began("a", None)]
    assert given(answer(joining, joining.request(), committed=30)) == [(0, 30)]
    assert joining.ended


def test_where_there_is_no_history_what_is_missing_is_counted() -> None:
    joining = Joining(0)
    joining.hear(hello(seq=5), [])
    say(joining, 5, 50, 10)
    assert given(joining.skip()) == [(50, 60)]
    assert joining.request() is None
    joining.hear(end(7, 70), [])
    (ended,) = joining.skip()
    assert isinstance(ended, Ended)
    assert (ended.missing, ended.rows, ended.verified) == (60, 70, None)


def test_skipping_past_the_end_of_one_acquisition_begins_the_next() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 1, 10, 10)
    joining.hear(hello(acquisition="b"), [])
    events = joining.skip()
    assert given(events) == [(10, 20)]
    events += joining.skip()
    assert [type(event) for event in events] == [Rows, Ended, Began]


@pytest.mark.parametrize(
    "changes",
    [
        {"row_first": 11},
        {"rows": 3},
        {"more": True, "rows": 0},
        {"fields": own_fields(depth=True)},
        {"fields": ()},
        {"end": end(1, 20, "b")},
    ],
    ids=["other rows", "other length", "more of nothing", "other columns", "no columns", "another's end"],
)
def test_an_answer_that_contradicts_itself_is_refused_and_asked_again(changes: dict[str, object]) -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    say(joining, 1, 10, 10)
    request = joining.request()
    assert request is not None
    good = Chunk(
        id=request.id, acquisition="a", row_first=0, rows=2, committed=20, more=True, ended=False, fields=own_fields()
    )
    chunk = msgspec.structs.replace(good, **changes)
    with pytest.raises(MessageError):
        joining.take(chunk, [ALL[: chunk.rows].tobytes() if "rows" not in changes or not chunk.rows else b""])
    assert joining.next_row == 0
    assert given(answer(joining, joining.request(), committed=20)) == [(0, 10), (10, 20)]


def test_messages_that_contradict_what_was_announced_change_nothing() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    deep = msgspec.structs.replace(hello(), fields=own_fields(depth=True))
    with pytest.raises(MessageError, match="other columns"):
        joining.hear(deep, [])
    for first, rows in ((-1, 0), (0, -1)):
        with pytest.raises(MessageError, match="rows from"):
            say(joining, 0, first, rows)
    with pytest.raises(MessageError, match="announces 3 rows"):
        joining.hear(Batch(acquisition="a", seq=0, frame_first=0, frame_last=0, row_first=0, rows=3), [b"12"])
    with pytest.raises(MessageError, match="-5 rows"):
        joining.hear(end(0, -5), [])
    assert given(say(joining, 0, 0, 10)) == [(0, 10)]


def test_columns_may_be_others_in_the_next_acquisition() -> None:
    joining = Joining(0)
    joining.hear(hello(), [])
    joining.hear(end(0, 0), [])
    joining.hear(msgspec.structs.replace(hello(acquisition="b"), fields=own_fields(depth=True)), [])
    table = np.zeros(2, LOCALIZATION_3D)
    (event,) = say(joining, 0, 0, 2, acquisition="b", table=table)
    assert isinstance(event, Rows)
    assert event.table.dtype == LOCALIZATION_3D
