"""Procedures that find a calibration from frames."""
