"""Localizations to pictures: counts or Gaussians on a grid in nm, then colour, scale bar, PNG and OME-TIFF."""
