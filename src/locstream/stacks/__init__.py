"""Frames: what a source of frames is, and reading and writing stacks on disk."""
