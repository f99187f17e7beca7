"""The whole job: from the frames of a movie to the table, one process on one core, and how good the table is.

    python benchmarks/whole_job.py [--quick] [--stacks A10 B10 …] [--programs locstream picasso …]

Stacks: A 256², 20 molecules a frame; B 512², 150; C 128², 10; dense 128² at 3 molecules/µm²; the number behind the
name is the background. Frames lie in memory. locstream goes frame by frame, as its workers do, at its default
threshold. Every other program gets, per stack, the threshold with the best Jaccard on the first frames, found with
the truth in view: that is in its favour. Slow programs get fewer frames; all are scored on the frames they had.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import machine
import numpy as np
from aims import Aim, aims_table
from contest import (
    ENVIRONMENTS,
    NOT_TRIED,
    Contestant,
    Program,
    Run,
    core_share,
    prepared,
    programs,
    rate,
    ratio,
    rounds,
    table,
)
from programs.simulated import PIXEL_NM, READ_NOISE_E
from scores import Score, score
from simulate import PLANS, Stack, stack

RADIUS_PX = 200 / PIXEL_NM
TUNING_MOLECULES = 2_000
"""So many molecules decide on a threshold."""
PAST_THE_BEST = 0.02
"""Where the Jaccard has fallen so far, lower thresholds are not tried."""
QUICK_FRAMES = {"A": 100, "B": 20, "C": 200, "dense": 10}
"""The quick form has so many frames, and Picasso's first method only."""

TIMES_PICASSO, MS_OF_B, TIMES_DAOSTORM = 45, 0.2, 20
"""Aimed at: so many times as fast as Picasso's MLE, so many ms for a frame of B, and, on the dense stack, so many times
as fast as 3D-DAOSTORM without finding less or being further off."""
LIKE_WITH_LIKE = {"free width": ("MLE", "free σ"), "width known": ("MLE fixed σ", "fixed σ")}
"""Our method and that of 3D-DAOSTORM which knows as much of the width."""


class Entry(NamedTuple):
    """What a contestant runs on a stack with."""

    threshold: float | None
    frames: int


def scored(data: Stack, run: Run, frames: int) -> Score:
    """Score what a run found in the first frames of a stack."""
    truth, found = data.truth[data.truth["frame"] < frames], run.rows[run.rows[:, 0] < frames]
    return score(truth, found, RADIUS_PX, READ_NOISE_E)


def best_threshold(contestant: Contestant, data: Stack, frames: int) -> float | None:
    """Return the threshold with the best Jaccard on the first frames; None where the program's own default is used.

    They are tried from the highest down, until false molecules take over: what comes below only takes long.
    """
    program, method = contestant.program, contestant.method
    truth = data.truth[data.truth["frame"] < frames]
    best, of_best = None, -1.0
    for threshold in sorted(program.thresholds.get(method, ()), reverse=True):
        found = program.localize(method, data.path, frames, threshold, 0).rows
        jaccard = score(truth, found, RADIUS_PX).jaccard
        if jaccard > of_best:
            best, of_best = threshold, jaccard
        elif jaccard < of_best - PAST_THE_BEST:
            break
    return best


def prepare(contestant: Contestant, data: Stack, seconds: float) -> Entry:
    """Compile, choose the threshold, and how many frames fit into about so many seconds."""
    total = len(data.frames)
    few = min(total, max(1, round(TUNING_MOLECULES * total / len(data.truth))))
    threshold = best_threshold(contestant, data, few)
    contestant.program.localize(contestant.method, data.path, few, threshold, 0)
    trial = contestant.program.localize(contestant.method, data.path, few, threshold, 0)
    return Entry(threshold, min(total, max(few, int(few * seconds / trial.wall_s))))


class Result(NamedTuple):
    """What a contestant came to."""

    run: Run
    frames: int
    frames_s: float
    times_reference: float
    """Not a number where the reference did not take part."""


def compare(
    contestants: list[Contestant], data: Stack, reference: tuple[str, str], seconds: float
) -> tuple[str, dict[tuple[str, str], Result]]:
    """Let all contestants localize the same stack in turn; return the table, and the results by program and method."""
    entries = prepared(contestants, lambda c: prepare(c, data, seconds))

    def once(contestant: Contestant) -> Run:
        entry = entries[contestant]
        return contestant.program.localize(contestant.method, data.path, entry.frames, entry.threshold)

    runs = rounds(list(entries), once)
    references = [c for c in runs if (c.program.key, c.method) == reference]
    rows, results = [], {}
    for c, of_c in runs.items():
        entry = entries[c]
        result = scored(data, of_c[-1], entry.frames)
        frames_s = rate(of_c, entry.frames)
        times = [ratio(of_c, entry.frames, runs[r], entries[r].frames) for r in references]
        results[c.program.key, c.method] = Result(of_c[-1], entry.frames, frames_s, times[0] if times else np.nan)
        rows.append(
            [c.label, "default" if entry.threshold is None else f"{entry.threshold:g}", f"{entry.frames:,}"]
            + [f"{frames_s:,.1f}", f"{frames_s * result.found / entry.frames:,.0f}", f"{1000 / frames_s:.3g}"]
            + [f"{t:.3g} ×" for t in times]
            + [f"{result.jaccard:.4f}", f"{result.rms_px:.4f}", str(result.rmse_over_crlb)]
            + [f"{result.bias_x_px:+.4f}, {result.bias_y_px:+.4f}"]
            + [f"{np.max([run.peak_mb for run in of_c]):,.0f}", f"{core_share(of_c):.2f}"]
        )
    head = ["program · method", "threshold", "frames", "frames/s", "locs/s", "ms/frame"]
    head += [f"of {r.program.name} {r.method}" for r in references]
    return table([*head, "Jaccard", "rms (px)", "RMSE/CRLB", "bias x, y (px)", "peak MB", "core"], rows), results


def aims(name: str, data: Stack, results: dict[tuple[str, str], Result]) -> list[Aim]:
    """Return what was aimed at, as far as those took part whom it takes; tables are compared on frames both had."""
    ours, kind = results.get(("locstream", "MLE")), name.rstrip("0123456789")
    if ours is None:
        return []
    found = []
    if kind == "dense":
        for method, (of_ours, of_theirs) in LIKE_WITH_LIKE.items():
            mine, theirs = results.get(("locstream", of_ours)), results.get(("daostorm", of_theirs))
            if mine is None or theirs is None:
                continue
            what, times = f"{name}, {method}", mine.frames_s / theirs.frames_s
            both = min(mine.frames, theirs.frames)
            good, best = scored(data, mine.run, both), scored(data, theirs.run, both)
            found += [
                Aim(f"{what}: times 3D-DAOSTORM's speed", times, TIMES_DAOSTORM, True, 1),
                Aim(f"{what}: Jaccard, not below 3D-DAOSTORM's", good.jaccard, best.jaccard, True, 4),
                Aim(f"{what}: rms (px), not above 3D-DAOSTORM's", good.rms_px, best.rms_px, False, 4),
            ]
    elif not np.isnan(ours.times_reference):
        found = [Aim(f"{name}: times the speed of Picasso's MLE", ours.times_reference, TIMES_PICASSO, True, 1)]
    if kind == "B":
        found.append(Aim(f"{name}: ms a frame", 1000 / ours.frames_s, MS_OF_B, False))
    return found


def contestants_for(kind: str, started: list[Program], quick: bool) -> list[Contestant]:
    """Return who takes part: on the dense stack, only who fits overlapping molecules, and Picasso for comparison."""
    everyone = [Contestant(p, m) for p in started for m in (p.movies[:1] if quick else p.movies)]
    if kind != "dense":
        return everyone
    return [c for c in everyone if c.program.key in ("locstream", "daostorm") or c.method == "MLE spherical"]


def main() -> None:
    """Print one table a stack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="A10, B10, C10 shortened; locstream and Picasso only")
    parser.add_argument("--stacks", nargs="+", help="stacks by name (A10 B10 C10 A50 dense10 dense50)")
    parser.add_argument("--programs", nargs="+", choices=list(ENVIRONMENTS), help="who takes part")
    parser.add_argument("--seconds", type=float, default=5.0, help="a slow program's time a round (%(default)s)")
    parser.add_argument("--quiet-within", type=float, default=0, help="wait so many seconds for a quiet machine")
    given = parser.parse_args()
    keys = given.programs or (["locstream", "picasso"] if given.quick else list(ENVIRONMENTS))
    names = given.stacks or (
        ["A10", "B10", "C10"] if given.quick else ["A10", "B10", "C10", "A50", "dense10", "dense50"]
    )
    machine.wait_for_quiet(given.quiet_within)
    print(machine.statement() + "\n")
    aimed = []
    with programs(keys) as started:
        for name in names:
            kind = name.rstrip("0123456789")
            data = stack(name, QUICK_FRAMES.get(kind) if given.quick else None)
            plan = PLANS[kind]
            print(
                f"{name}: {plan.size}², {plan.molecules:.0f} molecules a frame, load {machine.load():.2f}:\n",
                flush=True,
            )
            reference = ("daostorm", "fixed σ") if kind == "dense" else ("picasso", "MLE spherical")
            entrants = contestants_for(kind, started, given.quick)
            found, results = compare(entrants, data, reference, given.seconds)
            print(found + "\n", flush=True)
            aimed += aims(name, data, results)
    if not given.quick:
        print(aims_table(aimed) + "\n")
    for name, why in NOT_TRIED.items():
        print(f"Not tried: {name}: {why}")
    print(f"Load at the end: {machine.load():.2f}")


if __name__ == "__main__":
    main()
