"""How the working values of many fits lie side by side in memory.

`LANES` spots advance together, each in a lane of vector registers: the innermost loops run over the lane, and LLVM
turns each of their lines into one or two instructions. All working values lie in one flat buffer ``w``: value ``k`` of
a lane is ``w[k * LANES + lane]``, and the constants below name the values. One buffer spares LLVM the tests whether
arrays overlap, which it would give up on. The box and the unknowns enter as the types of two tuples, one element a
column and one an unknown: so the loops over them have a length that is known when they are compiled, and what a model
does not need is not there.
"""

from __future__ import annotations

import numpy as np

Values = tuple[np.float32, ...]
Columns = tuple[np.float32, ...]
Unknowns = tuple[np.float32, ...]


LANES = 16
"""Spots that advance together: the float32 numbers of one register of AVX-512, or of two of AVX2. A loop over fewer is
unrolled before LLVM could make vector instructions of it, and then it makes none."""

MAX_BOX = 15
NO_WIDTH, ONE_WIDTH, TWO_WIDTHS = 4, 5, 6
"""Unknowns of the models."""

# Places in the working buffer, counted in rows of LANES values; the parameters lie as in the columns of the results.
X, Y, PHOTONS, SIGMA, BACKGROUND, SIGMA_Y = range(6)
X0, Y0 = 6, 7  # where the fit started
FOCUS = 8  # the width in focus
PRECISION = 9  # of the prior for the width around it, 0 where there is none
STEPS = 10  # taken so far
BEYOND = 11  # by how much the square of what is left of the way exceeds one that counts as none; only its sign tells
CHI2 = 12
SHARE = 13  # the part of the next step that is taken
LAST = 14  # 5 rows, the last step of all but the background, had it been taken whole
VARIANCE = 19  # 6 rows, the bounds in the order of the parameters
CORRELATION = 25  # of the two widths
LENGTH = 26  # of the last step, had it been taken whole, in standard deviations
# Along x, along y: from the centre to the first edge and from edge to edge, in widths times √2; the Gaussian's height.
FIRST_EDGE, PER_PIXEL, HEIGHT = 27, 29, 31
# The unknowns are x, y, N, σx, σy, b: b last, so that it is limited first where the step is solved for.
INFORMATION = 33  # 21 rows, the upper triangle row by row
SCORE = 54  # 6 rows
EDGE = SCORE + 6  # between two pixels of an axis, 3 rows: integral, Gaussian, Gaussian times distance
# Along each axis, MAX_BOX rows each: the Gaussian integrated over the pixels, its derivatives after position and width.
EX, DX, SX, EY, DY, SY = (EDGE + 3 + k * MAX_BOX for k in range(6))
# Along each row of the box, SUMS_A_ROW rows: sums of the weights, alone and with one or two of the profiles above; of
# the residuals, alone and with one; chi-square.
SUMS, SUMS_A_ROW = SY + MAX_BOX, 15
W0, WE, WD, WS, WEE, WED, WES, WDD, WDS, WSS, R0, RE, RD, RS, RR = range(SUMS_A_ROW)
COUNTS = SUMS + SUMS_A_ROW * MAX_BOX  # MAX_BOX² rows: counts plus known light
KNOWN = COUNTS + MAX_BOX * MAX_BOX  # MAX_BOX² rows: known light: variance and neighbours
ROWS = KNOWN + MAX_BOX * MAX_BOX
