"""A benchmark platform for deep one-class anomaly detection that lives in MLflow."""

import sys

from fanogan_mtl.moved import MovedModules

__version__ = "0.1.0"

sys.meta_path.append(MovedModules())
