"""Try a model in the browser: `python -m entrypoints.demo --model models:/NAME/VERSION`."""

import click

from entrypoints.command import SPELLING, run


@click.command(context_settings=SPELLING)
@click.option("--model", default="none", show_default=True, help="Address of the model, as models:/NAME/VERSION.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 shows the page to the whole network.")
@click.option("--port", default="7860", show_default=True, help="Port of the page.")
def main(**options: str) -> int:
    """Show a page to try a model: upload an image or draw a digit, and see what each head says of it, and where."""
    from fanogan_mtl.workflows.demo import DemoOptions, demo

    return demo(DemoOptions(**options))


if __name__ == "__main__":
    run(main)
