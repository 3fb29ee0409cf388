"""Benchmark detectors on extractors' features: `python -m entrypoints.hybrid`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import HybridOptions

main = command(
    HybridOptions,
    "hybrid:hybrid",
    "Train extractors where they are missing, and one-class detectors on their features.",
)

if __name__ == "__main__":
    run(main)
