"""PyOD's own detectors: what is corrected in them, and the known faults of those that can't be."""
