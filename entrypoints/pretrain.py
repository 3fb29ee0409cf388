"""Train feature extractors: `python -m entrypoints.pretrain`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import PretrainOptions

main = command(
    PretrainOptions,
    "pretrain:pretrain",
    "Train feature extractors on all domains at once; their curves and weights are in MLflow afterwards.",
)

if __name__ == "__main__":
    run(main)
