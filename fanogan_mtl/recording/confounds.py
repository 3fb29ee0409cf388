"""The part of a comparison's page that says what images tell without being looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fanogan_mtl.pages.content import NONE, Section, Table, Text, section, share
from fanogan_mtl.sweep.result import DoneCell

_EXPLAINED = (
    "AUROC in percent on validation data of something that is no content of an image, taken alone, higher or lower"
    " whichever tells more, beside the detector's own. Where one of them comes near the detector, ask how the images"
    " were made."
)


def confound_sections(cells: Sequence[DoneCell]) -> Iterator[Section]:
    """Make the section of cells of one seed; none where all images are alike in these, and for vectors."""
    checks = {cell.normal_class: cell.result.checks for cell in cells if cell.result.checks}
    names = list(dict.fromkeys(name for each in checks.values() for name in each.confounds))
    if names:
        rows = tuple(
            (
                normal,
                (
                    *(share(each.confounds.get(name), absent=NONE) for name in names),
                    share(each.validation_auroc),
                ),
            )
            for normal, each in checks.items()
        )
        table = Table("confounds", "By normal class.", ("normal", *names, "the detector"), rows)
        yield section("Size and brightness alone", lambda: (Text(_EXPLAINED), table))
