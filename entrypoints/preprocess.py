"""Prepare and check data sets: `python -m entrypoints.preprocess`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import PreprocessOptions

main = command(
    PreprocessOptions,
    "preprocess:preprocess",
    "Prepare data sets once, check them, and log them in MLflow with sample sheets and class counts.",
)

if __name__ == "__main__":
    run(main)
