"""The study's tables 5.1 to 5.4 beside ours: a row a data set, source and budget, a column a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from fanogan_mtl.evaluation.metrics import METRICS
from fanogan_mtl.report.commands import missing
from fanogan_mtl.report.content import NONE, NOT_RUN, Commands, Entry, Row, Section, Table, Text, best_marked, share
from fanogan_mtl.report.evidence import PUBLISHED, STAND_INS, Evidence, Result
from fanogan_mtl.report.published import DETECTORS, EXTRACTORS, NOTES, SHALLOW, model_name, published
from fanogan_mtl.sweep.tested import together

SHOWN = {name: metric.label for name, metric in METRICS.items() if metric.in_report}
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
    """Make the four tables, each for AUROC, precision and recall."""
    return [
        Section(
            f"table-{number.replace('.', '-')}",
            title,
            (
                *_introduction(evidence, number),
                *(_table(evidence, number, metric, _columns(evidence, number)) for metric in SHOWN),
                *_gaps(evidence, number),
            ),
        )
        for number, title in TITLES.items()
    ]


def _columns(evidence: Evidence, number: str) -> list[Column]:
    """The study's methods first, run or not; then what else was run; the shallow baselines last, run or not."""
    pool = number in ("5.2", "5.4")
    columns = []
    if number in ("5.1", "5.2"):
        columns += [_column(evidence, None, detector) for detector in DETECTORS]
    else:
        own = {"5.3": [name for name in EXTRACTORS if name != "pca"], "5.4": ["pca"]}[number]
        columns += [_column(evidence, None, "fanogan"), *(_column(evidence, name, "fanogan") for name in own)]
        found = [
            each
            for each in evidence.results
            if each.main and each.is_pool == pool and each.comparison.extractor and each.comparison.protocol == "paper"
        ]
        if number == "5.4":
            found = [each for each in found if each.comparison.extractor == "pca"]
        columns += [Column(each.method, each.method, None) for each in found]
    pixels = [each for each in evidence.results if each.main and each.comparison.extractor is None]
    if number in ("5.1", "5.2"):
        columns += [Column(each.method, each.method, None) for each in pixels if each.comparison.detector in DETECTORS]
    columns += [_column(evidence, None, name) for name in SHALLOW]
    columns += [Column(each.method, each.method, None) for each in pixels if each.comparison.detector not in DETECTORS]
    unique: dict[str, Column] = {}
    for column in columns:
        unique.setdefault(column.method or column.head, column)
    return list(unique.values())


def _column(evidence: Evidence, extractor: str | None, detector: str) -> Column:
    name = detector if extractor is None else f"{extractor}+{detector}"
    return Column(name, evidence.method(extractor, detector), model_name(extractor, detector))


def _table(evidence: Evidence, number: str, metric: str, columns: Sequence[Column]) -> Table:
    rows: list[Row] = []
    datasets = _datasets(evidence, number)
    for dataset, kin in datasets:
        figures = [published(number, column.model, kin, metric) for column in columns]
        if any(figures):
            entries = [share(each.mean, each.std) if each else share(None, absent=NONE) for each in figures]
            rows.append((f"{kin}: the study", best_marked(entries)))
        results = [(column.method and evidence.get(column.method, dataset)) or None for column in columns]
        rows += _own_rows(dataset, metric, results)
    if number == "5.3":
        rows += _mean_rows(evidence, metric, columns, [dataset for dataset, _ in datasets])
    caption = f"{SHOWN[metric]} in percent. ★ is the best of its row; * see the marked comparisons above."
    return Table(
        f"{TITLES[number].partition(':')[0]}: {metric}", caption, ("", *(c.head for c in columns)), tuple(rows)
    )


def _datasets(evidence: Evidence, number: str) -> list[tuple[str, str | None]]:
    """Data sets of a table, each with the study's that it is set beside; the study's own are there, run or not."""
    pool = number in ("5.2", "5.4")
    found = {each.dataset: each.published for each in evidence.results if each.main and each.is_pool == pool}
    ours = list(found.items())
    absent = [name for name in (("all",) if pool else PUBLISHED) if name not in found.values()]
    return [*ours, *((name, name) for name in absent)]


def _own_rows(dataset: str, metric: str, results: Sequence[Result | None]) -> list[Row]:
    there = [each for each in results if each]
    if not there:
        return [(f"{dataset}: ours", tuple(share(None) for _ in results))]
    budgets = there[0].budgets
    rows: list[Row] = []
    if len(budgets) > 1:
        of = ", ".join(map(str, budgets))
        rows.append(
            (f"{dataset}: ours, mean over {of} epochs", best_marked([_summary(each, metric) for each in results]))
        )
    for budget in budgets if metric == "auroc" or len(budgets) == 1 else ():
        entries = best_marked([_summary(each, metric, budget) for each in results])
        rows.append((f"{dataset}: ours at {budget} epochs", entries))
    if metric == "auroc":
        entries = tuple(_interval(each) for each in results)
        rows.append((f"{dataset}: 95 % interval at {budgets[-1]}", entries))
        entries = tuple(_tested(each) for each in results)
        rows.append((f"{dataset}: normal + anomalous {there[0].comparison.unit} tested", entries))
    return rows


def _summary(result: Result | None, metric: str, budget: int | None = None) -> Entry:
    if result is None:
        return share(None)
    summary = result.summary(metric, None if budget is None else [budget])
    return share(summary.mean, summary.std_over_seeds, marked=bool(result.marks))


def _interval(result: Result | None) -> Entry:
    if result is None:
        return share(None)
    low, high = result.interval
    return Entry(f"{100 * low:.1f} to {100 * high:.1f}", {"low": low, "high": high})


def _tested(result: Result | None) -> Entry:
    if result is None:
        return share(None)
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


def _introduction(evidence: Evidence, number: str) -> list[Text]:
    pool = number in ("5.2", "5.4")
    results = [each for each in evidence.results if each.main and each.is_pool == pool]
    texts = []
    if number == "5.1":
        texts += [Text(note) for note in NOTES]
    stand_ins = {each.dataset: STAND_INS[each.dataset] for each in results if each.dataset in STAND_INS}
    if stand_ins:
        kinds = {
            "handwritten": "5,000 of MNIST's own images",
            "optdigits": "8×8 scanned digits, other ones than USPS's",
            "streetdigits": "rendered house numbers, no photographs",
        }
        named = "; ".join(f"{name} ({kinds[name]}) beside {beside}" for name, beside in stand_ins.items())
        texts.append(
            Text(f"Some data sets only stand for the study's: {named}. Set beside each other they show the order of "
                 "methods, not a reproduction.", "note")
        )  # fmt: skip
    if pool:
        texts.append(Text("The study doesn't say what its \"all\" is; here it is one detector that learns a class on "
                          "all data sets at once and is tested on all of them."))  # fmt: skip
    texts.append(Text(coverage(results)))
    return texts


def _gaps(evidence: Evidence, number: str) -> tuple[Commands, ...]:
    """Commands for what the table says was not run."""
    if number in ("5.1", "5.2"):
        gaps = [name for name in (*DETECTORS, *SHALLOW) if evidence.method(None, name) is None]
        return missing(evidence, gaps, "benchmark", detectors=",".join(gaps))
    own = [name for name in EXTRACTORS if (name == "pca") == (number == "5.4")]
    gaps = [name for name in own if evidence.method(name, "fanogan") is None]
    return missing(evidence, gaps, "hybrid", extractors=",".join(gaps))


def coverage(results: Sequence[Result]) -> str:
    """Say on what our side of a table rests."""
    if not results:
        return "Ours: not run."
    cells = sum(len(each.cells) for each in results)
    seeds = sorted({seed for each in results for seed in each.seeds})
    limit, budgets = results[0].comparison.limit, results[0].budgets
    conditions = f"budgets {', '.join(map(str, budgets))}; seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    partial = [
        f"{each.method} on {each.dataset} has {len(each.classes)} of {each.recorded.n_classes} classes"
        for each in results
        if each.recorded.n_classes and len(each.classes) < each.recorded.n_classes
    ]
    text = (
        f"Ours: {cells} cells; {conditions}; at most {limit} images a class. "
        if limit
        else f"Ours: {cells} cells; {conditions}; no limit. "
    )
    text += "± is the deviation over seeds." if len(seeds) > 1 else "There is one seed, hence no ± over seeds."
    if partial:
        more = f" and {len(partial) - 3} more" if len(partial) > 3 else ""
        text += f" A partial run: {'; '.join(partial[:3])}{more}."
    return f"{text} {_rests_on(results)}"


def _rests_on(results: Sequence[Result]) -> str:
    counts = []
    for name in dict.fromkeys(each.dataset for each in results):
        own = [each for each in results if each.dataset == name]
        counts.append(f"{name}, {together(each.tested for each in own).text(own[0].comparison.unit)}")
    return f"Each AUROC rests on: {'; '.join(counts)}."
