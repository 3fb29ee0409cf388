"""Write the comparison as one HTML page: `python -m entrypoints.report`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import ReportOptions

main = command(
    ReportOptions,
    "report:report",
    "Set recorded comparisons beside the study's figures, and answer its questions from them.",
)

if __name__ == "__main__":
    run(main)
