"""The study's tables 5.1 to 5.4 beside ours: a row per data set and source, a column per method; shown turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from fanogan_mtl.evaluation.metrics import METRICS
from fanogan_mtl.pages.content import (
    NONE,
    NOT_RUN,
    Entry,
    Fold,
    PageBlock,
    Row,
    Section,
    Table,
    Text,
    best_marked,
    share,
)
from fanogan_mtl.report.evidence import PUBLISHED, STAND_INS, Evidence, Result
from fanogan_mtl.report.published import DETECTORS, EXTRACTORS, NOTES, SHALLOW, published, published_model
from fanogan_mtl.report.sentences import listed
from fanogan_mtl.sweep.cell import ALL_SEEN
from fanogan_mtl.sweep.tested import together

REPORTED = {name: metric.label for name, metric in METRICS.items() if metric.in_report}
TITLES = {
    "5.1": "Table 5.1: detectors on single data sets",
    "5.2": "Table 5.2: one detector for all data sets at once",
    "5.3": "Table 5.3: f-AnoGAN on features",
    "5.4": "Table 5.4: f-AnoGAN on principal components, all data sets at once",
}


@dataclass(frozen=True)
class Column:
    """A method of a table: ours, as `Evidence` names it (None where it was not run), and the study's name of it."""

    head: str
    method: str | None
    model: str | None


def table_sections(evidence: Evidence) -> list[Section]:
    """Make the four tables, each for AUROC and the other metrics of `METRICS` that are `in_report`."""
    return [
        Section(title, tuple(_blocks(evidence, number)), f"table-{number.replace('.', '-')}")
        for number, title in TITLES.items()
    ]


def _blocks(evidence: Evidence, number: str) -> list[PageBlock]:
    columns = _columns(evidence, number)
    datasets = _datasets(evidence, number)
    made = {metric: _table(evidence, number, metric, columns, datasets) for metric in REPORTED}
    tables = {metric: table for metric, table in made.items() if table.rows}  # the study has figures of few metrics
    blocks: list[PageBlock] = _notes(evidence, number)
    run = [each for name, _ in datasets for each in _results(evidence, name, columns) if each]
    if not any(number in ("5.1", "5.2") or each.comparison.extractor for each in run):
        return [*blocks, Text("Ours: not run."), Fold("The study's figures", tuple(tables.values()))]
    blocks.append(tables.pop("auroc"))
    details = [table for dataset, _ in datasets if (table := _detailed(evidence, number, dataset, columns))]
    blocks.append(Fold("Ours at each budget, and the 95 % intervals over test images", tuple(details)))
    blocks.append(Fold(listed(list(tables)).capitalize(), tuple(tables.values())))
    return blocks


def _columns(evidence: Evidence, number: str) -> list[Column]:
    """The study's methods first, run or not; then what else was run; the shallow baselines last, run or not."""
    main = [each for each in evidence.results if each.main]
    pixels = [each for each in main if each.comparison.extractor is None]
    if number in ("5.1", "5.2"):
        columns = [_column(evidence, None, detector) for detector in DETECTORS]
        also = [each for each in pixels if each.comparison.detector in DETECTORS]
    else:
        own = ["pca"] if number == "5.4" else [name for name in EXTRACTORS if name != "pca"]
        columns = [_column(evidence, name, "fanogan") for name in (None, *own)]
        also = [each for each in main if each.comparison.protocol in ALL_SEEN and each.is_pool == (number == "5.4")]
        also = [each for each in also if number != "5.4" or each.comparison.extractor == "pca"]
    columns += [Column(each.method, each.method, None) for each in also]
    columns += [_column(evidence, None, name) for name in SHALLOW]
    columns += [Column(each.method, each.method, None) for each in pixels if each.comparison.detector not in DETECTORS]
    unique: dict[str, Column] = {}
    for column in columns:
        if column.method or column.model:
            unique.setdefault(column.method or column.head, column)
    return list(unique.values())


def _column(evidence: Evidence, extractor: str | None, detector: str) -> Column:
    name = detector if extractor is None else f"{extractor}+{detector}"
    return Column(name, evidence.method(extractor, detector), published_model(extractor, detector))


def _table(
    evidence: Evidence, number: str, metric: str, columns: Sequence[Column], datasets: Sequence[tuple[str, str | None]]
) -> Table:
    rows: list[Row] = []
    for dataset, kin in datasets:
        figures = [published(number, column.model, kin, metric) for column in columns]
        if any(figures):
            entries = [share(each.mean, each.std) if each else share(None, absent=NONE) for each in figures]
            rows.append((f"{kin}: the study", best_marked(entries)))
        rows += _own_row(evidence, dataset, metric, columns)
    if number == "5.3":
        rows += _mean_rows(evidence, metric, columns, [dataset for dataset, _ in datasets])
    caption = f"{REPORTED[metric]} in percent. ★ is the best of its column; * see the marked comparisons above."
    heads = ("method", *(column.head for column in columns))
    return Table(f"{_short(number)}: {metric}", caption, heads, tuple(rows), turned=True)


def _short(number: str) -> str:
    return TITLES[number].partition(":")[0]


def _datasets(evidence: Evidence, number: str) -> list[tuple[str, str | None]]:
    """Data sets of a table, each with the study's that it is set beside; the study's own are there, run or not."""
    pool = number in ("5.2", "5.4")
    found = {each.dataset: each.published for each in evidence.results if each.main and each.is_pool == pool}
    ours = list(found.items())
    absent = [name for name in (("all",) if pool else PUBLISHED) if name not in found.values()]
    return [*ours, *((name, name) for name in absent)]


def _own_row(evidence: Evidence, dataset: str, metric: str, columns: Sequence[Column]) -> list[Row]:
    """The mean over budgets of each method, as the study's figures are; none where nothing was run."""
    results = _results(evidence, dataset, columns)
    budgets = next((each.budgets for each in results if each), ())
    if not budgets:
        return []
    what = f"at {budgets[0]} epochs" if len(budgets) == 1 else f"mean over {', '.join(map(str, budgets))} epochs"
    run = [bool(column.method) for column in columns]
    entries = [_summary(each, metric, absent=NOT_RUN if own else NONE) for each, own in zip(results, run, strict=True)]
    separator = " " if len(budgets) == 1 else ", "
    return [(f"{dataset}: ours{separator}{what}", best_marked(entries))]


def _detailed(evidence: Evidence, number: str, dataset: str, columns: Sequence[Column]) -> Table | None:
    """AUROC at each budget on one data set, with its interval and what it was tested on."""
    columns = [column for column in columns if column.method and evidence.get(column.method, dataset)]
    there = [each for each in _results(evidence, dataset, columns) if each]
    if not there:
        return None
    budgets = there[0].budgets
    rows: list[Row] = [
        (f"{dataset}: ours at {budget} epochs", best_marked([_summary(each, "auroc", budget) for each in there]))
        for budget in budgets
        if len(budgets) > 1
    ]
    rows.append((f"{dataset}: 95 % interval at {budgets[-1]}", tuple(map(_interval, there))))
    rows.append((f"{dataset}: normal + anomalous {there[0].comparison.unit} tested", tuple(map(_tested, there))))
    heads = ("method", *(column.head for column in columns))
    name, caption = f"{_short(number)}: auroc on {dataset}", f"AUROC in percent on {dataset}."
    return Table(name, caption, heads, tuple(rows), turned=True)


def _results(evidence: Evidence, dataset: str, columns: Sequence[Column]) -> list[Result | None]:
    return [(column.method and evidence.get(column.method, dataset)) or None for column in columns]


def _summary(result: Result | None, metric: str, budget: int | None = None, absent: str = NOT_RUN) -> Entry:
    if result is None:
        return share(None, absent=absent)
    summary = result.summary(metric, None if budget is None else [budget])
    return share(summary.mean, summary.std_over_seeds, marked=bool(result.marks))


def _interval(result: Result) -> Entry:
    low, high = result.interval
    return Entry(f"{100 * low:.1f} to {100 * high:.1f}", {"low": low, "high": high})


def _tested(result: Result) -> Entry:
    of = result.tested
    return Entry(f"{of.normal} + {of.anomalous}", {name: float(number) for name, number in asdict(of).items()})


def _mean_rows(evidence: Evidence, metric: str, columns: Sequence[Column], datasets: Sequence[str]) -> list[Row]:
    """Means over the single data sets, of methods that have them all."""
    rows: list[Row] = []
    figures = [published("5.3", column.model, "mean", metric) for column in columns]
    if any(figures):
        entries = [share(each.mean, each.std) if each else share(None, absent=NONE) for each in figures]
        rows.append(("mean of mnist, svhn and usps: the study", best_marked(entries)))
    run = [name for name in datasets if any(column.method and evidence.get(column.method, name) for column in columns)]
    if len(run) > 1:
        means = []
        for column in columns:
            results = [evidence.get(column.method, name) for name in run] if column.method else []
            there = [each.summary(metric).mean for each in results if each]
            mean = fmean(there) if len(there) == len(run) else None
            marked = any(each.marks for each in results if each)
            means.append(share(mean, absent=NONE if there else NOT_RUN, marked=marked))
        rows.append((f"mean of {' and '.join(run)}: ours", best_marked(means)))
    return rows


def _notes(evidence: Evidence, number: str) -> list[PageBlock]:
    """What to know before a table is read; what is true of several is said at the first."""
    pool = number in ("5.2", "5.4")
    results = [each for each in evidence.results if each.main and each.is_pool == pool]
    blocks: list[PageBlock] = []
    stand_ins = {each.dataset: STAND_INS[each.dataset] for each in results if each.dataset in STAND_INS}
    if stand_ins and number == "5.1":
        kinds = {
            "handwritten": "5,000 of MNIST's own images",
            "optdigits": "8×8 scanned digits, other ones than USPS's",
            "streetdigits": "rendered house numbers, no photographs",
        }
        named = "; ".join(f"{name} ({kinds[name]}) beside {beside}" for name, beside in stand_ins.items())
        blocks.append(
            Text(f"Some data sets only stand for the study's: {named}. Set beside each other they show the order of "
                 "methods, not a reproduction.", "note")
        )  # fmt: skip
    if number == "5.1":
        blocks.append(Fold("How the study's figures came about, and what is odd about them", tuple(map(Text, NOTES))))
    if number == "5.2":
        blocks.append(Text("The study doesn't say what its \"all\" is; here it is one detector that learns a class on "
                           "all data sets at once and is tested on all of them."))  # fmt: skip
    return blocks


def coverage(results: Sequence[Result]) -> str:
    """Say which trainings our figures rest on."""
    if not results:
        return "Ours: not run."
    cells = sum(len(each.cells) for each in results)
    seeds = sorted({seed for each in results for seed in each.seeds})
    limit, budgets = results[0].comparison.limit, results[0].budgets
    epochs = f"{', '.join(map(str, budgets))} epochs"
    trained = f"{cells} trainings of {epochs} with seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    limited = f", on at most {limit} images per class" if limit else ""
    deviation = "± is the deviation over seeds." if len(seeds) > 1 else "There is one seed, hence no ± over seeds."
    return f"{trained}{limited}. {deviation}"


def rests_on(results: Sequence[Result]) -> list[str]:
    """Say of each data set how many rows an AUROC rests on."""
    lines = []
    for name in dict.fromkeys(each.dataset for each in results):
        own = [each for each in results if each.dataset == name]
        lines.append(f"{name}: {together(each.tested for each in own).text(own[0].comparison.unit)}")
    return lines
