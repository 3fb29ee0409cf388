"""Register the model of recorded runs: `python -m entrypoints.register --run ID`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import RegisterOptions

main = command(
    RegisterOptions,
    "register:register",
    "Register one model: an extractor or none, and a head for each data set and class, each with its threshold.",
)

if __name__ == "__main__":
    run(main)
