"""Train feature extractors: `python -m entrypoints.pretrain`."""

import click

from entrypoints.command import (
    DATA_DIR,
    DATASET,
    DEVICE,
    EXTRACTOR_EPOCHS,
    EXTRACTOR_PARAMS,
    LIMIT,
    SCHEDULER,
    SEEDS,
    SPELLING,
    WEIGHTS,
    WORKERS,
    run,
)
from fanogan_mtl.workflows import DEFAULT_PRETRAINED


@click.command(context_settings=SPELLING)
@DATASET
@click.option("--extractors", default=DEFAULT_PRETRAINED, show_default=True, help="Extractors to train.")
@EXTRACTOR_PARAMS
@EXTRACTOR_EPOCHS
@WEIGHTS
@click.option("--hold-out-class", default="none", show_default=True, help="A class of which nothing is learned.")
@click.option("--hold-out-domain", default="none", show_default=True, help="A domain of which nothing is learned.")
@SEEDS
@LIMIT
@DATA_DIR
@DEVICE
@WORKERS
@SCHEDULER
def main(**options: str) -> int:
    """Train feature extractors on all domains at once; their curves and weights are in MLflow afterwards."""
    from fanogan_mtl.workflows.pretrain import PretrainOptions, pretrain

    return pretrain(PretrainOptions(**options))


if __name__ == "__main__":
    run(main)
