"""Detectors of patches: they score every position of an extractor's feature maps."""
