"""Score images with a model: `python -m entrypoints.score --model models:/NAME/VERSION --input FOLDER`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import ScoreOptions

main = command(
    ScoreOptions,
    "score:score",
    "Score images by a model's heads: a table, and a page of the most anomalous with heat maps.",
)

if __name__ == "__main__":
    run(main)
