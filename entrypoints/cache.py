"""List and prune prepared data: `python -m entrypoints.cache`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import CacheOptions

main = command(
    CacheOptions,
    "cache:cache",
    "List what is in the data folder, with sizes and last use, and remove what is asked for and not in use.",
)

if __name__ == "__main__":
    run(main)
