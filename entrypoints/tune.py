"""Tune a detector: `python -m entrypoints.tune`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import TuneOptions

main = command(
    TuneOptions,
    "tune:tune",
    "Try settings of a detector on validation data, and leave the best beside the default in MLflow.",
)

if __name__ == "__main__":
    run(main)
