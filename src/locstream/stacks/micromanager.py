"""Micro-Manager's JSON: the summary of an acquisition and the metadata of its frames."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from locstream.stacks.description import Description, length_nm, number, time_ms, whole

_AXES = {"Frames": "frames", "Slices": "slices", "Channels": "channels"}
_ROI = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)")
_KEPT = ("Source", "MicroManagerVersion", "Date", "Time", "StartTime", "Comment", "UserName", "Binning")


def describe_micromanager(summary: Mapping[str, object], frame: Mapping[str, object]) -> Description:
    """Return what Micro-Manager noted.

    A zero stands for "not calibrated" (pixel size), "as fast as possible" (interval) or "not known
    yet" (numbers of frames, slices, channels), and is taken as no statement.

    Parameters
    ----------
    summary
        The object "Summary".
    frame
        The metadata of the first frame.
    """
    pixel_um = number(frame.get("PixelSizeUm")) or number(summary.get("PixelSize_um"))
    roi = _ROI.fullmatch(str(frame.get("ROI", "")))
    kept = {key: str(frame.get(key, summary.get(key, ""))) for key in _KEPT}
    announced = {axis: whole(summary.get(key)) for key, axis in _AXES.items()}
    return Description(
        dialect="Micro-Manager",
        axes={axis: n for axis, n in announced.items() if n is not None},
        camera=str(frame.get("Camera") or frame.get("Core-Camera") or ""),
        pixel_size_nm=length_nm(pixel_um, "µm"),
        exposure_ms=time_ms(number(frame.get("Exposure-ms")), "ms"),
        interval_ms=time_ms(number(summary.get("Interval_ms")), "ms"),
        bit_depth=whole(frame.get("BitDepth")) or whole(summary.get("BitDepth")),
        roi_x=int(roi[1]) if roi else None,
        roi_y=int(roi[2]) if roi else None,
        details={key: value for key, value in kept.items() if value},
    )


def json_object(text: str, key: str = "") -> dict[str, object]:
    """Return the first JSON object in `text`, or the one that follows `key`; {} where there is none.

    Micro-Manager writes its metadata as it goes, so the text often breaks off: whatever object is
    complete can be had, and nothing is said of the rest.

    Parameters
    ----------
    text
        JSON, complete or not.
    key
        A regular expression for the key of the wanted object.
    """
    found = re.search(rf'"{key}"\s*:\s*(?=\{{)' if key else r"(?=\{)", text)
    if found is None:
        return {}
    try:
        value, _ = json.JSONDecoder().raw_decode(text, found.end())
    except (json.JSONDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
