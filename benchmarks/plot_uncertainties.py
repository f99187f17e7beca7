"""Draw the plot of uncertainties.py from what it writes to standard input; needs matplotlib and nothing else."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt


def draw(numbers: dict[str, Any], file: str) -> None:
    """Draw one row of panels for the fit and one for the whole job, one column a quantity, one line a background."""
    panels = numbers["panels"]
    figure, axes = plt.subplots(len(panels), 4, figsize=(13, 6.2), sharex=True, sharey=True, layout="constrained")
    colours = plt.get_cmap("viridis")(
        [0.95 * k / (len(numbers["backgrounds"]) - 1) for k in range(len(numbers["backgrounds"]))]
    )
    for row, (name, quantities) in zip(axes, panels.items(), strict=True):
        for axis, (quantity, lines) in zip(row, quantities.items(), strict=True):
            axis.axhspan(*numbers["wanted"], color="0.9")
            axis.axhline(1, color="0.6", linewidth=0.8)
            for line, background, colour in zip(lines, numbers["backgrounds"], colours, strict=True):
                values = [float("nan") if v is None else v for v in line]
                axis.plot(numbers["photons"], values, "o-", color=colour, markersize=3.5, label=f"{background}")
            axis.set_xscale("log")
            axis.set_ylim(0.6, 1.4)
            axis.set_title(f"{quantity}, {name}", fontsize=10)
        row[0].set_ylabel("SD of (found − true) / claimed σ")
    for axis in axes[-1]:
        axis.set_xlabel("photons")
    axes[0][-1].legend(title="background\n(photons/px)", fontsize=7, title_fontsize=7, ncols=2, loc="lower right")
    figure.suptitle(numbers["title"], fontsize=7)
    figure.savefig(file, dpi=110)


draw(json.load(sys.stdin), sys.argv[1])
