"""Write a model as an ONNX file: `python -m entrypoints.export --model models:/NAME/VERSION`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import ExportOptions

main = command(
    ExportOptions,
    "export:export",
    "Write a model's heads as one ONNX file, from the image to the decision, and check it against the model.",
)

if __name__ == "__main__":
    run(main)
