"""Programs that watch a running acquisition from a terminal."""
