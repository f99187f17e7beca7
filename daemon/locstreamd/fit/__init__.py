"""Frames out to the workers, localizations back, every frame accounted for once."""
