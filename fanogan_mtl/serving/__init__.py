"""Detectors as an MLflow model: one head per class."""
