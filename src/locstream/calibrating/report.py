"""A measured camera in words: the numbers with their units, and what is not as it should be."""

from __future__ import annotations

import numpy as np

from locstream.calibrating.measured_camera import HOT, MeasuredCamera
from locstream.calibrating.pixel_statistics import Map

FEW_DARK_FRAMES = 500
"""Below, the read noise of a pixel is known to no better than 3 %."""
NONLINEAR = 0.05
"""A level whose slope is so far from that of all says that the camera is not linear there, or the light not steady."""
FLICKER_SHARE = 0.5
"""The lamp's part of the noise, in units of the photons', from which its correction decides the gain."""
DRIFT_SHARE = 0.5
"""Drift of the offset, in units of the read noise, that stands out."""
NARROW = 3.0
"""Levels that are less than this factor apart cannot show whether the camera is linear."""


def report_lines(camera: MeasuredCamera) -> list[tuple[str, str]]:
    """Return a measured camera as lines of a label and a sentence."""
    offset, noise = camera.offset_adu, camera.read_noise_e[~camera.dead]
    hot, dead = int(camera.hot.sum()), int(camera.dead.sum())
    known = _relative(camera.read_noise_uncertainty_e, camera.read_noise_e)
    signals = camera.signals_e
    frames = sum(level.frames for level in camera.levels)
    lines = [
        ("offset", f"{np.median(offset):.2f} ADU (median), {_range(offset, '.1f')} ADU (1 … 99 %)"),
        (
            "read noise",
            f"{np.median(noise):.2f} e⁻ (median), {_range(noise, '.2f')} e⁻ (1 … 99 %), {_rms(noise):.2f} e⁻ rms; "
            f"a pixel's is known to {known:.1%}",
        ),
        (
            "hot pixels",
            f"{hot:,} of {offset.size:,} ({hot / offset.size:.2%}) have above {HOT:g} × the median read noise",
        ),
        (
            "gain",
            f"{camera.scalar_gain_e_per_adu:.4g} e⁻/ADU{_em_words(camera)}; pixels differ by {camera.gain_spread:.1%} "
            f"(1 σ), a pixel's is known to {_gain_known(camera):.1%} ({camera.gain_chance:.1%} by itself)",
        ),
        (
            "linearity",
            f"from {signals[0]:,.0f} to {signals[-1]:,.0f} e⁻ the noise follows the light within "
            f"{camera.nonlinearity:.1%}",
        ),
        ("frames", f"{camera.dark_frames:,} dark, {frames:,} at {len(signals)} levels of light"),
    ]
    if dead:
        lines.append(("dead", f"{dead:,} of {offset.size:,} do not respond to light; no fit will listen to them"))
    return lines


def report_warnings(camera: MeasuredCamera) -> list[str]:
    """Return what is not as it should be, and what to do about it, in sentences."""
    found = []
    signals = camera.signals_e
    if camera.dark_frames < FEW_DARK_FRAMES:
        known = np.sqrt(0.5 / (camera.dark_frames - 1))
        found.append(f"{camera.dark_frames:,} dark frames tell a pixel's read noise to {known:.0%}; 1,000 are usual")
    if camera.nonlinearity > NONLINEAR:
        slopes = ", ".join(f"{level.slope:.3g} at {level.signal_adu:,.0f} ADU" for level in camera.levels)
        found.append(
            f"the noise does not follow the light: noise over signal is {slopes}. Is the light steady, and "
            "the brightest level well below saturation?"
        )
    if signals[-1] < NARROW * signals[0]:
        found.append(
            f"all levels lie within {signals[0]:,.0f} … {signals[-1]:,.0f} e⁻; take them further apart to see whether "
            "the camera is linear"
        )
    found += [
        f"at {level.signal_adu:,.0f} ADU the lamp flickers by {level.flicker:.1%} from frame to frame; that is taken "
        "out of the noise, but steady light tells the gain better"
        for level, signal_e in zip(camera.levels, signals, strict=True)
        if level.flicker**2 * signal_e > FLICKER_SHARE
    ]
    if camera.offset_drift_adu > DRIFT_SHARE * np.median(camera.read_noise_e / camera.gain_e_per_adu):
        found.append(
            f"the offset drifted by {camera.offset_drift_adu:.1f} ADU over the dark stack, which counts as read noise; "
            "let the camera reach its temperature first"
        )
    if camera.unlit:
        found.append(
            f"the light did not reach {camera.unlit:,} pixels ({camera.unlit / camera.dead.size:.1%}); they take the "
            "gain of the camera, and dead pixels are not looked for"
        )
    return found


def _em_words(camera: MeasuredCamera) -> str:
    if camera.em_gain <= 1:
        return ""
    per_adu = camera.scalar_gain_e_per_adu / camera.em_gain
    return f" behind an EM gain of {camera.em_gain:g}, {per_adu:.4g} photoelectrons/ADU"


def _gain_known(camera: MeasuredCamera) -> float:
    return _relative(camera.gain_uncertainty_e_per_adu, camera.gain_e_per_adu)


def _relative(uncertainty: Map, values: Map) -> float:
    return float(np.median(uncertainty) / np.median(values))


def _range(values: Map, form: str) -> str:
    low, high = np.percentile(values, (1, 99))
    return f"{low:{form}} … {high:{form}}"


def _rms(values: Map) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
