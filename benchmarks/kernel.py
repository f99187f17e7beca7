"""The fit alone: isolated 7 × 7 spots, fits per second on one core, and the error against the Cramér–Rao bound.

    python benchmarks/kernel.py [--quick] [--programs locstream picasso …]

Every program fits the same photoelectrons; a slow one is given only the first of them, as many as it can fit in
`--seconds`, and its error is that of those.
"""

from __future__ import annotations

import argparse

import machine
from aims import Aim, aims_table
from contest import ENVIRONMENTS, NOT_TRIED, Contestant, Run, core_share, prepared, programs, rate, ratio, rounds, table
from programs.simulated import READ_NOISE_E
from scores import position_bound, score_spots
from simulate import BACKGROUNDS, SPOTS, Spots, spots

TRIAL = 500
"""Spots by which the number of spots is chosen."""
REFERENCES = ("MLE spherical", "MLE elliptic")
"""Picasso's methods that the others are compared with."""
AIMS = (("MLE", "MLE spherical", 55), ("MLE elliptic", "MLE elliptic", 35))
"""How many times as fast as Picasso's each of our methods is to be."""
MAX_ERROR = {10: 1.012, 50: 1.03}
"""RMSE/CRLB by background."""
MOST_FOR_MAPS = 1.15
"""Time with a read noise for every pixel, over that with one for all."""


def affordable(contestant: Contestant, data: Spots, seconds: float) -> int:
    """Return how many spots a contestant fits in about so many seconds, once it has compiled."""
    contestant.program.fit(contestant.method, data.path, TRIAL, 0)
    trial = contestant.program.fit(contestant.method, data.path, TRIAL, 0)
    return min(len(data.truth), max(TRIAL, int(TRIAL * seconds / trial.wall_s)))


def compare(contestants: list[Contestant], data: Spots, seconds: float) -> tuple[str, list[Aim]]:
    """Let all contestants fit the same spots in turn; return the table, and what was aimed at."""
    n = prepared(contestants, lambda c: affordable(c, data, seconds))

    def once(contestant: Contestant) -> Run:
        return contestant.program.fit(contestant.method, data.path, n[contestant])

    runs = rounds(list(n), once)
    references = [c for m in REFERENCES for c in runs if c.program.key == "picasso" and c.method == m]
    bound = position_bound(data.truth, READ_NOISE_E)
    rows, errors = [], {}
    for c, of_c in runs.items():
        m = n[c]
        quality = score_spots(data.truth[:m], of_c[-1].rows, READ_NOISE_E, bound[:m])
        errors[c] = quality.rmse_over_crlb.value
        rows.append(
            [c.label, f"{m:,}", f"{rate(of_c, m):,.0f}"]
            + [f"{ratio(of_c, m, runs[r], n[r]):.3g} ×" for r in references]
            + [str(quality.rmse_over_crlb), f"{quality.bias_x_px:+.4f}, {quality.bias_y_px:+.4f}"]
            + [f"{1 - quality.good:.2%}", f"{core_share(of_c):.2f}"]
        )
    head = ["program · method", "spots", "fits/s", *(f"of Picasso's {r.method}" for r in references)]
    return table([*head, "RMSE/CRLB", "bias x, y (px)", "lost", "core"], rows), aims(runs, n, errors, data)


def aims(
    runs: dict[Contestant, list[Run]], n: dict[Contestant, int], errors: dict[Contestant, float], data: Spots
) -> list[Aim]:
    """Return what was aimed at, as far as those whom it takes took part."""
    background = int(data.truth["background"][0])
    by_name = {(c.program.key, c.method): c for c in runs}
    found = []
    for ours, theirs, limit in AIMS:
        a, b = by_name.get(("locstream", ours)), by_name.get(("picasso", theirs))
        if a and b:
            times = ratio(runs[a], n[a], runs[b], n[b])
            found.append(Aim(f"{ours} over Picasso's {theirs}, background {background}", times, limit, True, 1))
    plain, maps = by_name.get(("locstream", "MLE")), by_name.get(("locstream", "MLE, sCMOS"))
    if plain:
        found.append(Aim(f"RMSE/CRLB, background {background}", errors[plain], MAX_ERROR[background], False, 4))
    if plain and maps:
        more = ratio(runs[plain], n[plain], runs[maps], n[maps])
        found.append(Aim(f"time with maps over time without, background {background}", more, MOST_FOR_MAPS, False, 2))
    return found


def main() -> None:
    """Print one table a background."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer spots, locstream and Picasso only")
    parser.add_argument("--programs", nargs="+", choices=list(ENVIRONMENTS), help="who takes part")
    parser.add_argument("--seconds", type=float, default=2.0, help="a slow program's time a round (%(default)s)")
    parser.add_argument("--quiet-within", type=float, default=0, help="wait so many seconds for a quiet machine")
    given = parser.parse_args()
    keys = given.programs or (["locstream", "picasso"] if given.quick else list(ENVIRONMENTS))
    machine.wait_for_quiet(given.quiet_within)
    print(machine.statement() + "\n")
    with programs(keys) as started:
        contestants = [Contestant(p, m) for p in started for m in p.fits]
        aimed = []
        for background in BACKGROUNDS:
            data = spots(background, 20_000 if given.quick else SPOTS)
            print(f"Background {background} e⁻/px:\n", flush=True)
            seconds = min(given.seconds, 0.5) if given.quick else given.seconds
            found, aims_of = compare(contestants, data, seconds)
            print(found + "\n")
            aimed += aims_of
    if not given.quick:
        print(aims_table(aimed) + "\n")
    for name, why in NOT_TRIED.items():
        print(f"Not tried: {name}: {why}")
    print(f"Load at the end: {machine.load():.2f}")


if __name__ == "__main__":
    main()
