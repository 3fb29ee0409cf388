"""Benchmark detectors on images: `python -m entrypoints.benchmark`."""

import click

from entrypoints.command import CLASSES, DATA_DIR, DATASET, DEVICE, LIMIT, SEEDS, SPELLING, WORKERS, run
from fanogan_mtl.workflows import DEFAULT_DETECTORS


@click.command(context_settings=SPELLING)
@DATASET
@click.option("--detectors", default=DEFAULT_DETECTORS, show_default=True, help="Detectors; also pyod:ClassName.")
@click.option(
    "--detector-params", default="none", show_default=True,
    help='Parameters as JSON, as {"fanogan": {"latent_dim": 32}, "vae": "tuned"}; or tuned for all.',
)  # fmt: skip
@click.option("--epochs", default="20,50", show_default=True, help="Epoch budgets.")
@click.option("--batch-size", default="default", show_default=True, help="For detectors that take it.")
@click.option("--latent-dim", default="default", show_default=True, help="For detectors that take it.")
@click.option("--kappa", default="default", show_default=True, help="f-AnoGAN's weight of the feature term.")
@CLASSES
@SEEDS
@LIMIT
@click.option(
    "--log-models", default="best", show_default=True,
    help="Models to keep: none, best (of each data set, by validation AUROC) or all.",
)  # fmt: skip
@click.option("--dry-run", default="false", show_default=True, help="true: print the plan, train nothing.")
@click.option("--retry", default="false", show_default=True, help="true: try failed cells again.")
@DATA_DIR
@DEVICE
@WORKERS
def main(**options: str) -> int:
    """Train one-class detectors on every data set and class, and leave the comparison in MLflow."""
    from fanogan_mtl.workflows.benchmark import benchmark
    from fanogan_mtl.workflows.plan import BenchmarkOptions

    return benchmark(BenchmarkOptions(**options))


if __name__ == "__main__":
    run(main)
