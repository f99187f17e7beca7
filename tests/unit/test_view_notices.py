"""What the window says in words: what is wrong and how bad, the numbers with their units."""

from __future__ import annotations

from dataclasses import replace

import pytest

from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import End, Hello, Status
from locstream_view.following.notices import lag, notices
from locstream_view.following.numbers import numbers
from locstream_view.following.seen import Seen
from locstream_view.model.model import Counted

ID = "a" * 32
HELLO = Hello(
    acquisition=ID, seq=0, name="run", software="test", width=64, height=48, pixel_size_nm=100.0, started_s=0.0
)
STATUS = Status(acquisition=ID, seq=0, state="acquiring", ledger=LedgerSnapshot(acquired=100, fitted=100))
LIVE = Seen("following", "run", hello=HELLO, status=STATUS)


def status(**values: object) -> Status:
    given = {name: getattr(STATUS, name) for name in STATUS.__struct_fields__} | values
    return Status(**given)


class TestNotices:
    def test_none_where_all_is_well(self) -> None:
        assert notices(LIVE) == []
        assert notices(Seen("waiting", "an acquisition")) == []

    @pytest.mark.parametrize(
        ("seen", "severity", "words"),
        [
            (replace(LIVE, phase="silent", silent_s=9.0), "wrong", "for 9 s"),
            (replace(LIVE, missing_rows=1_234), "attention", "1,234 localizations"),
            (
                replace(LIVE, status=status(ledger=LedgerSnapshot(acquired=9, fitted=9, camera_dropped=4))),
                "wrong",
                "dropped 4 frames",
            ),
            (
                replace(LIVE, status=status(ledger=LedgerSnapshot(acquired=900, pending=900), fps_acquired=100.0)),
                "attention",
                "9 s behind",
            ),
            (
                replace(LIVE, status=status(ledger=LedgerSnapshot(acquired=9, fitted=8, failed=1))),
                "attention",
                "1 frames could not be fitted",
            ),
            (replace(LIVE, status=status(warning="the gain is wrong")), "attention", "the gain is wrong"),
            (replace(LIVE, status=status(disk_free_mb=50.0, fps_acquired=100.0)), "wrong", "room for 1 min"),
            (
                replace(
                    LIVE,
                    phase="ended",
                    end=End(acquisition=ID, seq=9, outcome="faulted", frames=1, rows=1, message="the disk is full"),
                ),
                "wrong",
                "the disk is full",
            ),
        ],
    )
    def test_each_says_what_and_how_bad(self, seen: Seen, severity: str, words: str) -> None:
        found = notices(seen)
        assert len(found) == 1
        assert found[0].severity == severity
        assert words in found[0].what

    def test_the_worst_comes_first(self) -> None:
        found = notices(replace(LIVE, missing_rows=1, phase="silent"))
        assert [notice.severity for notice in found] == ["wrong", "attention"]

    def test_lag_is_in_seconds_of_the_camera(self) -> None:
        behind = status(ledger=LedgerSnapshot(acquired=60, pending=50), fps_acquired=25.0)
        assert lag(behind) == 2.0
        assert lag(status(fps_acquired=0.0)) is None


class TestNumbers:
    def test_what_is_not_well_stands_out(self) -> None:
        ledger = LedgerSnapshot(acquired=100, fitted=40, pending=60, camera_dropped=2)
        seen = replace(LIVE, status=status(ledger=ledger, fps_acquired=10.0, disk_free_mb=5_000.0))
        found = {number.label: number for number in numbers(seen, Counted(50, 25))}
        assert not found["Lag"].good
        assert found["Lag"].text.startswith("6.0 s")
        assert not found["Dropped"].good
        assert "50 % shown" in found["Localizations"].text
        assert found["State"].text == "acquiring"

    def test_waiting(self) -> None:
        found = numbers(Seen("waiting", "an acquisition"), Counted())
        assert [number.label for number in found] == ["State", "Localizations"]
