"""The picture without a window: counts at every zoom, Gaussians in the deep, filters, numbers, what is saved."""
