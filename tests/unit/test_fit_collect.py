"""Results leave in the order of acquisition, each once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from locstream.localizations import empty
from locstream.results.frames import FrameOutcome
from locstreamd.fit.answers import Settled
from locstreamd.fit.collect import Collector
from locstreamd.record.frame_index import FrameIndex


def index_of(numbers: list[int]) -> FrameIndex:
    index = FrameIndex()
    for number in numbers:
        index.add(number, 1000.0 + number)
    return index


def settled(index: int, number: int, rows: int = 1) -> Settled:
    table = empty(rows)
    table["frame"] = number
    return Settled(index, FrameOutcome.FITTED, table)


def test_nothing_leaves_before_the_oldest() -> None:
    collector = Collector(index_of([0, 1, 2]))
    collector.add(settled(1, 1))
    collector.add(settled(2, 2))
    assert collector.batch() is None
    collector.add(settled(0, 0))
    batch = collector.batch()
    assert batch is not None
    assert batch[1]["frame"].tolist() == [0, 1, 2]
    assert collector.settled_up_to == 3


def test_numbers_keep_their_gap_and_times_their_place() -> None:
    collector = Collector(index_of([0, 5, 6]))
    for i, number in enumerate([0, 5, 6]):
        collector.add(settled(i, number, rows=i))
    batch = collector.batch()
    assert batch is not None
    rows, records, _ = batch
    assert records["frame"].tolist() == [0, 5, 6]
    assert records["time_s"].tolist() == [1000.0, 1005.0, 1006.0]
    assert records["rows"].tolist() == [0, 1, 2]
    assert rows["frame"].tolist() == [5, 6, 6]


def test_a_failed_frame_takes_its_place() -> None:
    collector = Collector(index_of([0]))
    collector.add(Settled(0, FrameOutcome.FAILED, empty(), "three workers died"))
    batch = collector.batch()
    assert batch is not None
    assert batch[1]["outcome"].tolist() == [FrameOutcome.FAILED]
    assert batch[2][0].reason == "three workers died"


@given(st.permutations(list(range(12))))
def test_any_order_of_results_gives_the_order_of_acquisition(order: list[int]) -> None:
    collector = Collector(index_of([3 * i for i in range(12)]))
    frames: list[int] = []
    for i in order:
        collector.add(settled(i, 3 * i))
        if (batch := collector.batch()) is not None:
            frames += batch[1]["frame"].tolist()
    assert frames == [3 * i for i in range(12)]
