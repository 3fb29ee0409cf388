"""Feature extractors: scikit-learn transformers from images to vectors, built by name: `make_extractor("resnet18")`.

To add one, write its file here and add its line to `registry.REGISTRY`.
"""

from fanogan_mtl.extractors.registry import REGISTRY, make_extractor

__all__ = ["REGISTRY", "make_extractor"]
