"""List and prune prepared data: `python -m entrypoints.cache`."""

import click

from entrypoints.command import DATA_DIR, SPELLING, run


@click.command(context_settings=SPELLING)
@DATA_DIR
@click.option(
    "--prune", default="none", show_default=True,
    help="What to remove: none, unused (for some days), all, or one kind, as features.",
)  # fmt: skip
@click.option("--days", default="30", show_default=True, help="With unused: after so many days.")
def main(**options: str) -> int:
    """List what is in the data folder, with sizes and last use, and remove what is asked for and not in use."""
    from fanogan_mtl.workflows.cache import CacheOptions, cache

    return cache(CacheOptions(**options))


if __name__ == "__main__":
    run(main)
