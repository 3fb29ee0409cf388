"""The results that a report is made from: the recorded comparisons, each under a name of its own, and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from fanogan_mtl.evaluation.bootstrap import auroc_interval
from fanogan_mtl.evaluation.significance import Block
from fanogan_mtl.evaluation.statistics import Summary, summarise
from fanogan_mtl.report.published import DETECTORS, EXTRACTORS, SHALLOW
from fanogan_mtl.sweep.cell import ALL_SEEN, PROTOCOLS, Comparison
from fanogan_mtl.sweep.result import DoneCell
from fanogan_mtl.sweep.tested import Tested, rows_tested

STAND_INS = {"handwritten": "mnist", "streetdigits": "svhn", "optdigits": "usps"}
PUBLISHED = ("mnist", "svhn", "usps")
KNOWN = ("mnist", "handwritten", "svhn", "streetdigits", "usps", "optdigits")
ORDER = (*DETECTORS, *SHALLOW)


@dataclass(frozen=True)
class Recorded:
    """A comparison as it is recorded.

    Attributes
    ----------
    run_id : str
    comparison : Comparison
    setting : str
        `default`, a named setting, or `custom`.
    cells : tuple of DoneCell
        At least one.
    n_features : int or None
        Values that the detector sees of one image; None where it isn't known.
    n_classes : int or None
        Classes of the data set that can be normal; None where it isn't known.
    marks : mapping
        What keeps its figures from being taken as they stand: a mark to the sentence that explains it.
    """

    run_id: str
    comparison: Comparison
    setting: str
    cells: tuple[DoneCell, ...]
    n_features: int | None = None
    n_classes: int | None = None
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A recorded comparison under the names that the report gives it.

    Attributes
    ----------
    method : str
        The detector, with its extractor, setting and conditions where they aren't the usual ones.
    dataset : str
    recorded : Recorded
    main : bool
        Whether it was run under the conditions (limit, budgets) that most cells share: only those are set against each
        other.
    """

    method: str
    dataset: str
    recorded: Recorded
    main: bool

    @property
    def comparison(self) -> Comparison:
        """The comparison."""
        return self.recorded.comparison

    @property
    def is_pool(self) -> bool:
        """Whether one detector learns a class on several data sets at once."""
        return len(self.comparison.dataset.sources) > 1

    @property
    def published(self) -> str | None:
        """The study's data set that this one is, or stands for; `all` for a pool."""
        if self.is_pool:
            return "all"
        name = self.comparison.dataset.name
        return name if name in PUBLISHED else STAND_INS.get(name)

    @property
    def marks(self) -> Mapping[str, str]:
        """What keeps its figures from being taken as they stand."""
        return self.recorded.marks

    @property
    def budgets(self) -> tuple[int, ...]:
        """Epoch budgets, ascending."""
        return self.comparison.budgets

    @property
    def cells(self) -> tuple[DoneCell, ...]:
        """Finished cells."""
        return self.recorded.cells

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished cells."""
        return tuple(sorted({cell.seed for cell in self.cells}))

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that were normal in a finished cell."""
        return tuple(dict.fromkeys(cell.normal_class for cell in sorted(self.cells, key=lambda cell: cell.seed)))

    def summary(self, metric: str = "auroc", budgets: Sequence[int] | None = None) -> Summary:
        """Summarise a metric over classes and seeds; of several budgets (by default all) the mean."""
        values: dict[tuple[str, int], list[float]] = {}
        for cell in self.cells:
            each = fmean(cell.result.metrics[budget][metric] for budget in budgets or self.budgets)
            values.setdefault((cell.normal_class, cell.seed), []).append(each)
        return summarise({key: fmean(of_pairs) for key, of_pairs in values.items()})

    def by_block(self, metric: str = "auroc") -> dict[Block, float]:
        """Mean over seeds and budgets of a metric, for each class."""
        return {(self.dataset, name): value for name, value in self.summary(metric).by_class.items()}

    @cached_property
    def tested(self) -> Tested:
        """How many test rows its figures rest on."""
        return rows_tested(self.cells)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Bootstrap 95 % interval over test images of the mean AUROC at the last budget."""
        results = [cell.result for cell in self.cells]
        labels = [None if each.weights is None else each.labels for each in results]
        return auroc_interval([(each.anomaly, each.scores[-1], each.rows) for each in results], labels=labels)


@dataclass(frozen=True)
class Evidence:
    """All results, in the order they were recorded."""

    results: tuple[Result, ...]

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Names of all methods."""
        return tuple(dict.fromkeys(each.method for each in self.results))

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """Names of all data sets, pools last."""
        ordered = sorted(self.results, key=lambda each: each.is_pool)
        return tuple(dict.fromkeys(each.dataset for each in ordered))

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str], Result]:
        return {(each.method, each.dataset): each for each in self.results}

    def get(self, method: str, dataset: str) -> Result | None:
        """One result, if it is there."""
        return self._by_name.get((method, dataset))

    def of(self, method: str) -> list[Result]:
        """All results of a method, pools last."""
        return [each for dataset in self.datasets if (each := self.get(method, dataset))]

    def where(
        self, extractor: str | None, detector: str | None = None, protocol: str | None = None, pool: bool | None = None
    ) -> list[Result]:
        """Results under the main conditions with this extractor (None: on pixels), detector, protocol and kind."""
        return [
            each
            for each in self.results
            if each.main
            and each.comparison.extractor == extractor
            and detector in (None, each.comparison.detector)
            and (extractor is None or each.comparison.protocol in ((protocol,) if protocol else ALL_SEEN))
            and pool in (None, each.is_pool)
        ]

    def method(self, extractor: str | None, detector: str, protocol: str | None = None) -> str | None:
        """Name of the method with this extractor and detector: in its default setting if that was run."""
        found = self.where(extractor, detector, protocol)
        return min(found, key=lambda each: each.recorded.setting != "default").method if found else None

    @property
    def conditions(self) -> tuple[int | None, tuple[int, ...]]:
        """Limit and budgets of the results under the main conditions."""
        first = next(each for each in self.results if each.main).comparison
        return first.limit, first.budgets


def evidence(recorded: Iterable[Recorded]) -> Evidence:
    """Name recorded comparisons so that no two of one data set share a name.

    The conditions (limit, budgets) that most cells share are the main ones; a comparison under others has them in its
    name, as one in another setting has that.
    """
    recorded = sorted(recorded, key=_order)
    conditions: Counter[tuple[int | None, tuple[int, ...]]] = Counter()
    digests: dict[str, Counter[str]] = {}
    for each in recorded:
        conditions[each.comparison.limit, each.comparison.budgets] += len(each.cells)
        digests.setdefault(each.comparison.dataset.name, Counter())[each.comparison.data_digest] += len(each.cells)
    main = conditions.most_common(1)[0][0] if conditions else None
    several_pools = sum("+" in name for name in digests) > 1
    results: dict[tuple[str, str], Result] = {}
    for each in recorded:
        comparison = each.comparison
        usual = (comparison.limit, comparison.budgets) == main
        method = comparison.label + ("" if each.setting == "default" else f" ({each.setting})")
        if not usual:
            epochs = ", ".join(map(str, comparison.budgets))
            method += f" [limit {comparison.limit or 'none'}, {epochs} epochs]"
        dataset = dataset_name(comparison, several_pools)
        if comparison.data_digest != digests[comparison.dataset.name].most_common(1)[0][0]:
            dataset += f" [{comparison.data_digest[:6]}]"
        if (method, dataset) in results:
            method += f" [{comparison.key[:6]}]"
        results[method, dataset] = Result(method, dataset, each, usual)
    return Evidence(tuple(results.values()))


def _order(recorded: Recorded) -> tuple[object, ...]:
    """Key that sorts results: on pixels first, deep detectors first, single data sets first."""
    of = recorded.comparison
    detector = ORDER.index(of.detector) if of.detector in ORDER else len(ORDER)
    protocol = PROTOCOLS.index(of.protocol) if of.protocol in PROTOCOLS else len(PROTOCOLS)
    known_extractor = list(EXTRACTORS).index(of.extractor) if of.extractor in EXTRACTORS else len(EXTRACTORS)
    names = (
        known_extractor,
        of.extractor or "",
        detector,
        of.detector,
        recorded.setting != "default",
        recorded.setting,
    )
    members = [source.rpartition("=")[0] or source for source in of.dataset.sources]
    known = [KNOWN.index(name) if name in KNOWN else len(KNOWN) for name in members]
    return (of.extractor is not None, protocol, *names, len(members), known, of.dataset.name, of.key)


def dataset_name(comparison: Comparison, several_pools: bool = False) -> str:
    """Call a comparison's data set as people do."""
    members = len(comparison.dataset.sources)
    return comparison.dataset.name if members == 1 or several_pools else f"all {members} pooled"
