"""Hold new images against held-out ones: `python -m entrypoints.monitor --model models:/NAME/1 --input FOLDER`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import MonitorOptions

main = command(
    MonitorOptions,
    "monitor:monitor",
    "Say whether new images still look like a model's held-out ones, with a stated rate of false alarms.",
)

if __name__ == "__main__":
    run(main)
