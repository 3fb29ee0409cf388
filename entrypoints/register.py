"""Register the model of recorded runs: `python -m entrypoints.register --run ID`."""

import click

from entrypoints.command import DATA_DIR, DEVICE, SCHEDULER, SPELLING, WORKERS, run


@click.command(context_settings=SPELLING)
@click.option(
    "--run", default="none", show_default=True,
    help="Id of a sweep's run (its best setting by validation AUROC is registered), a comparison's or a cell's.",
)  # fmt: skip
@click.option("--name", default="anomaly-detector", show_default=True, help="Name of the registered model.")
@click.option("--alias", default="champion", show_default=True, help="Alias of the new version.")
@DATA_DIR
@DEVICE
@WORKERS
@SCHEDULER
def main(**options: str) -> int:
    """Register one model: an extractor or none, and a head for each data set and class, each with its threshold."""
    from fanogan_mtl.workflows.register import RegisterOptions, register

    return register(RegisterOptions(**options))


if __name__ == "__main__":
    run(main)
