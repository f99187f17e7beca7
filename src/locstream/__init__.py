"""locstream: single-molecule localization microscopy while the camera is still running.

The library: no camera, no window, no service. Positions are in nm, the origin is the centre of
pixel (0, 0), x runs along columns and y down rows; see `locstream.localizations`.
"""

__version__ = "0.1.0"
