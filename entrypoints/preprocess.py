"""Prepare and check data sets: `python -m entrypoints.preprocess`."""

import click

from entrypoints.command import DATA_DIR, DATASET, SPELLING, run


@click.command(context_settings=SPELLING)
@DATASET
@DATA_DIR
def main(**options: str) -> int:
    """Prepare data sets once, check them, and log them in MLflow with sample sheets and class counts."""
    from fanogan_mtl.workflows.preprocess import PreprocessOptions, preprocess

    return preprocess(PreprocessOptions(**options))


if __name__ == "__main__":
    run(main)
