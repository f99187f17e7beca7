"""The growing picture as a layer of napari: python napari_layer.py [NAME | ADDRESS | FILE]."""

import sys

import napari
from qtpy.QtCore import QTimer

from locstream_view.following.follower import Follower
from locstream_view.following.target import target_of

BIN_NM = 20.0

follower = Follower(target_of(sys.argv[1] if len(sys.argv) > 1 else ""))
viewer = napari.Viewer(title="locstream")
viewer.scale_bar.visible = True


def refresh() -> None:
    """Take the picture as it is now: localizations per pixel, row 0 at the top."""
    model = follower.seen.model
    if model is None:
        return
    image = model.image(BIN_NM)
    if "localizations" not in viewer.layers:
        first_nm = (BIN_NM - model.pixel_size_nm) / 2  # from the centre of camera pixel (0, 0)
        place = {"scale": (BIN_NM, BIN_NM), "translate": (first_nm, first_nm), "units": ("nm", "nm")}
        viewer.add_image(image, name="localizations", colormap="inferno", contrast_limits=(0, 5), **place)
    viewer.layers["localizations"].data = image


timer = QTimer()
timer.timeout.connect(refresh)
timer.start(500)
follower.start()
napari.run()
follower.close()
