"""Score images with a model: `python -m entrypoints.score --model models:/NAME/VERSION --input FOLDER`."""

import click

from entrypoints.command import SPELLING, run


@click.command(context_settings=SPELLING)
@click.option("--model", default="none", show_default=True, help="Address of the model, as models:/NAME/VERSION.")
@click.option(
    "--input", default="none", show_default=True,
    help="Folder whose PNG and JPEG files are scored, or a text file with one path a line.",
)  # fmt: skip
@click.option("--output", default="scores.csv", show_default=True, help="Table to write: .csv or .parquet.")
@click.option("--heads", default="all", show_default=True, help="Heads that score, separated by commas.")
def main(**options: str) -> int:
    """Score images by a model's heads: a table, and a page of the most anomalous with heat maps."""
    from fanogan_mtl.workflows.score import ScoreOptions, score

    return score(ScoreOptions(**options))


if __name__ == "__main__":
    run(main)
