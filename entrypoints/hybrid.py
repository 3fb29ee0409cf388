"""Benchmark detectors on extractors' features: `python -m entrypoints.hybrid`."""

import click

from entrypoints.command import (
    DATASET,
    EXTRACTOR_EPOCHS,
    EXTRACTOR_PARAMS,
    SPELLING,
    WEIGHTS,
    benchmark_options,
    run,
)
from fanogan_mtl.workflows import DEFAULT_EXTRACTORS, DEFAULT_HYBRID_DETECTORS


@click.command(context_settings=SPELLING)
@DATASET
@click.option(
    "--extractors", default=DEFAULT_EXTRACTORS, show_default=True,
    help="Extractors; also logged ones, as runs:/ID/NAME or models:/NAME/VERSION.",
)  # fmt: skip
@click.option(
    "--protocol", default="paper", show_default=True,
    help="What the extractor may see: paper, unseen-class, unseen-domain, or several.",
)  # fmt: skip
@EXTRACTOR_PARAMS
@EXTRACTOR_EPOCHS
@WEIGHTS
@benchmark_options(DEFAULT_HYBRID_DETECTORS)
def main(**options: str) -> int:
    """Train extractors where they are missing, and one-class detectors on their features."""
    from fanogan_mtl.workflows.hybrid import HybridOptions, hybrid

    return hybrid(HybridOptions(**options))


if __name__ == "__main__":
    run(main)
