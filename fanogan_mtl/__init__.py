"""A benchmark platform for deep one-class anomaly detection that lives in MLflow."""

__version__ = "0.1.0"
