"""PyOD's own detectors: what is mended of them, and what holds against those that can't be."""
