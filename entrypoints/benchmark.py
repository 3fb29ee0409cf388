"""Benchmark detectors on images: `python -m entrypoints.benchmark`."""

import click

from entrypoints.command import DATASET, SPELLING, benchmark_options, run
from fanogan_mtl.workflows import DEFAULT_DETECTORS


@click.command(context_settings=SPELLING)
@DATASET
@benchmark_options(DEFAULT_DETECTORS)
def main(**options: str) -> int:
    """Train one-class detectors on every data set and class, and leave the comparison in MLflow."""
    from fanogan_mtl.plan.plan import BenchmarkOptions
    from fanogan_mtl.workflows.benchmark import benchmark

    return benchmark(BenchmarkOptions(**options))


if __name__ == "__main__":
    run(main)
