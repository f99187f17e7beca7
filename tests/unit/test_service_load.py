"""What gives way first: every rung is reached where it says, and left by itself."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Status
from locstreamd.service import load
from locstreamd.service.config import LoadSettings
from locstreamd.service.live_line import live_text
from locstreamd.service.load import CALM, SLOW_STATUS_S, Ladder, Rung


def rungs(*steps: tuple[float, int], settings: LoadSettings | None = None) -> list[str]:
    ladder, found = Ladder(settings or LoadSettings(delayed_s=1.0, paused_s=5.0)), []
    for lag_s, on_disk in steps:
        ladder.see(lag_s, on_disk)
        found.append(ladder.rung.value)
    return found


def test_falling_behind_goes_down_rung_by_rung() -> None:
    assert rungs((0.0, 0), (0.99, 0), (1.0, 0), (4.99, 0), (5.0, 0), (60.0, 0), (60.0, 1)) == [
        "live", "live", "delayed", "delayed", "analysis paused", "analysis paused", "from disk",
    ]  # fmt: skip


def test_catching_up_goes_back_later_than_it_went_down() -> None:
    """Else the rung would flicker where the lag stands just at a border."""
    assert rungs((6.0, 3), (6.0, 0), (4.0, 0), (2.6, 0), (2.4, 0), (0.9, 0), (0.51, 0), (0.49, 0), (0.9, 0)) == [
        "from disk", "analysis paused", "analysis paused", "analysis paused", "delayed", "delayed", "delayed", "live",
        "live",
    ]  # fmt: skip
    assert CALM == 0.5


def test_frames_on_disk_are_the_last_rung_however_short_the_lag() -> None:
    assert rungs((0.1, 7), (0.1, 0)) == ["from disk", "live"]


def test_a_jump_passes_over_rungs() -> None:
    assert rungs((10.0, 0), (0.0, 0)) == ["analysis paused", "live"]


@pytest.mark.parametrize(
    ("lag_s", "on_disk", "analyses", "interval_s"),
    [(0.0, 0, True, 0.5), (2.0, 0, True, SLOW_STATUS_S), (9.0, 0, False, SLOW_STATUS_S), (9.0, 1, False, 2.0)],
)
def test_the_status_gives_way_before_the_analysis(
    lag_s: float, on_disk: int, analyses: bool, interval_s: float
) -> None:
    ladder = Ladder(LoadSettings())
    ladder.see(lag_s, on_disk)
    assert ladder.analyses is analyses
    assert ladder.status_interval_s(status_hz=2.0) == interval_s
    assert ladder.status_interval_s(status_hz=0.1) == 10.0, "nobody is told more often than asked for"


def test_a_change_is_told_once() -> None:
    ladder = Ladder(LoadSettings())
    assert [ladder.see(lag_s, 0) for lag_s in (0.0, 2.0, 2.0, 0.0, 0.0)] == [False, True, False, True, False]


def test_rungs_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="comes before delayed_s"):
        LoadSettings(delayed_s=3.0, paused_s=2.0)


def test_the_table_of_the_module_names_every_rung() -> None:
    assert all(f"``{rung.value}``" in (load.__doc__ or "") for rung in Rung)


def test_the_live_line_says_what_has_given_way() -> None:
    status = Status(acquisition="a", seq=0, state="acquiring", ledger=LedgerSnapshot(acquired=9, pending=9))
    assert "behind" not in live_text(status)
    behind = Status(acquisition="a", seq=0, state="acquiring", ledger=LedgerSnapshot(), load="from disk", lag_s=12.4)
    assert "| from disk, 12 s behind" in live_text(behind)
