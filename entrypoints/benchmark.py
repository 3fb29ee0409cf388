"""Benchmark detectors on images: `python -m entrypoints.benchmark`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import BenchmarkOptions

main = command(
    BenchmarkOptions,
    "benchmark:benchmark",
    "Train one-class detectors on every data set and class, and leave the comparison in MLflow.",
)

if __name__ == "__main__":
    run(main)
