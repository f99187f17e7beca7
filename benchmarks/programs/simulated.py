"""Camera and molecules of the simulated stacks: what simulate.py draws with, and what every program is told."""

PIXEL_NM = 100.0
SIGMA_PX = 1.3
OFFSET_ADU = 100.0
GAIN_E_PER_ADU = 0.46
READ_NOISE_E = 1.6
BOX = 7
"""Edge of the box that is fitted, px."""
