"""Try a model in the browser: `python -m entrypoints.demo --model models:/NAME/VERSION`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import DemoOptions

main = command(
    DemoOptions,
    "demo:demo",
    "Show a page to try a model: upload an image or draw a digit, and see what each head says of it, and where.",
)

if __name__ == "__main__":
    run(main)
