"""Detectors as an MLflow model: one head a class."""
