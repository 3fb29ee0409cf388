"""Write the comparison as one HTML page: `python -m entrypoints.report`."""

import click

from entrypoints.command import DATA_DIR, SPELLING, run


@click.command(context_settings=SPELLING)
@click.option(
    "--runs", default="all", show_default=True,
    help="Ids of sweeps' runs, separated by commas; all takes every comparison of the experiment.",
)  # fmt: skip
@click.option(
    "--output", default="report", show_default=True, help="Folder for report.html, results.csv and results.parquet."
)
@DATA_DIR
def main(**options: str) -> int:
    """Set recorded comparisons beside the study's figures, and answer its questions from them."""
    from fanogan_mtl.workflows.report import ReportOptions, report

    return report(ReportOptions(**options))


if __name__ == "__main__":
    run(main)
