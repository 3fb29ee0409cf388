"""The whole study: `python -m entrypoints.main`."""

from entrypoints.command import command, run
from fanogan_mtl.plan.options import StudyOptions

main = command(
    StudyOptions,
    "study:study",
    "Do the whole study: data, detectors, extractors, detectors on their features, and the report.",
)

if __name__ == "__main__":
    run(main)
