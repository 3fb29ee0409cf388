"""Tune a detector: `python -m entrypoints.tune`."""

import click

from entrypoints.command import DATASET, SPELLING, benchmark_options, run
from fanogan_mtl.workflows import DEFAULT_TUNED


@click.command(context_settings=SPELLING)
@DATASET
@click.option(
    "--extractors", default="none", show_default=True, help="An extractor, to tune the detector on its features."
)
@click.option("--trials", default="20", show_default=True, help="Settings to try, earlier starts' included.")
@click.option("--timeout", default="none", show_default=True, help="Seconds after which no trial is begun.")
@click.option(
    "--storage", default="auto", show_default=True,
    help="A database's URL, as postgresql://HOST/NAME; auto is a file in the data folder.",
)  # fmt: skip
@click.option(
    "--study-name", default="auto", show_default=True,
    help="Name of the study; auto is made of detector, data and objective, so that the same command goes on.",
)  # fmt: skip
@click.option(
    "--search-space", default="default", show_default=True,
    help='What to search as JSON, as {"latent_dim": {"low": 8, "high": 128, "log": true}, "batch_size": [16, 32]}.',
)  # fmt: skip
@benchmark_options(DEFAULT_TUNED)
def main(**options: str) -> int:
    """Try settings of a detector on validation data, and leave the best beside the default in MLflow."""
    from fanogan_mtl.workflows.tune import TuneOptions, tune

    return tune(TuneOptions(**options))


if __name__ == "__main__":
    run(main)
