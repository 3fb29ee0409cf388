"""One-class detectors with PyOD's contract, built by name: `make_detector("vae", epochs=20)`.

To add one, write its file here and add its line to `registry.REGISTRY`.
"""

from fanogan_mtl.detectors.registry import REGISTRY, make_detector

__all__ = ["REGISTRY", "make_detector"]
