"""The whole study: `python -m entrypoints.main`."""

import click

from entrypoints.command import DATASET, SPELLING, benchmark_options, run
from fanogan_mtl.workflows import DEFAULT_DETECTORS, DEFAULT_PRETRAINED


@click.command(context_settings=SPELLING)
@DATASET
@benchmark_options(DEFAULT_DETECTORS)
@click.option(
    "--extractors",
    default=DEFAULT_PRETRAINED,
    show_default=True,
    help="Extractors; detectors are put on each one's features.",
)
@click.option(
    "--output", default="report", show_default=True, help="Folder for report.html, results.csv and results.parquet."
)
def main(**options: str) -> int:
    """Do the whole study: data, detectors, extractors, detectors on their features, and the report."""
    from fanogan_mtl.workflows.study import StudyOptions, study

    return study(StudyOptions(**options))


if __name__ == "__main__":
    run(main)
