"""What an acquisition says of itself, made up."""

from __future__ import annotations

from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Hello, Status

HELLO = Hello(
    acquisition="a1", seq=0, name="cell", software="locstream 0", width=5, height=4, pixel_size_nm=100.0, started_s=0.0
)
STATUS = Status(
    acquisition="a1", seq=1, state="acquiring", localizations=30, per_frame=3.0, photons=800.0, background=9.5,
    ledger=LedgerSnapshot(acquired=12, fitted=10, pending=2, last_acquired=11), precision_nm=10.0, sigma_nm=130.0,
    fps_acquired=99.5, fps_fitted=99.0, queued=2, workers=1, load="delayed", lag_s=1.5,
)  # fmt: skip
