"""The configuration of a small service: some frames take a moment, and each run has a folder of its own."""

CONFIG = """
[acquisition]
name = "cell"
folder = "data"
[simulation]
width = 64
height = 64
exposure_ms = 5.0
emitters_per_frame = 5.0
"""
