"""Hands finished runs on to where the lab keeps its images, by itself, and however often it is interrupted."""
