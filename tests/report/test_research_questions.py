"""An answer is given where the tests over blocks carry it; without data it is "not answered", else "not supported"."""

import warnings

from made_evidence import made

from fanogan_mtl.evaluation.significance import compare
from fanogan_mtl.pages.content import Chart, Fold, Items, Page, PageBlock, Section, Table, Text
from fanogan_mtl.report.evidence import evidence
from fanogan_mtl.report.questions import NOT_ANSWERED, NOT_SUPPORTED, Question, questions

SETS = ("handwritten", "optdigits", "streetdigits")
POOL = "handwritten+optdigits+streetdigits"


def answers(*recorded: object) -> dict[str, Question]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {each.number: each for each in questions(evidence(recorded))}


def every(question: Question) -> list[PageBlock]:
    """All blocks, the folded ones too."""
    return [block for _, block in Page("", (Section("", question.blocks),)).blocks()]


def test_the_best_detector_is_named_where_its_lead_over_each_is_supported() -> None:
    found = [made(name, data, quality) for data in SETS for name, quality in
             (("vae", 4), ("fanogan", 1.5), ("dagmm", 0.5), ("deep_svdd", 0.2))]  # fmt: skip
    verdict = answers(*found)["RQ1"].verdict
    assert (verdict.word, verdict.sentence) == ("vae", "The lead of vae over each of the others is supported.")
    with_baseline = answers(*found, *(made("pca", data, 9) for data in SETS))["RQ1"].verdict.sentence
    assert "A shallow baseline, pca, has the best mean rank of all" in with_baseline


def test_without_a_supported_lead_no_detector_is_named_best() -> None:
    found = [made(name, data, 1) for data in SETS for name in ("vae", "fanogan")]
    assert answers(*found)["RQ1"].verdict.word == NOT_SUPPORTED


def test_too_few_blocks_and_missing_methods_are_said() -> None:
    few = answers(*(made(name, "optdigits", quality) for name, quality in (("vae", 4), ("fanogan", 1))))
    assert few["RQ1"].verdict.word == NOT_ANSWERED
    assert few["RQ1"].verdict.sentence.startswith(
        "The methods share only 4 classes of the data sets, and a test needs 6."
    )
    alone = answers(made("fanogan"))
    assert all(question.verdict.word == NOT_ANSWERED for question in alone.values())


def test_methods_that_share_no_class_are_not_compared() -> None:
    apart = [made("fanogan", classes=("0", "1")), made("vae", classes=("2", "3"))]
    apart += [made("fanogan", POOL, classes=("0", "1")), made("fanogan", POOL, classes=("2",), extractor="resnet18")]
    apart += [made("fanogan", classes=("2", "3"), extractor=name) for name in ("resnet18", "pca")]
    answered = answers(*apart)
    assert answered["RQ1"].verdict.sentence.startswith("Fewer than two")
    assert "on no extractor's features of the same classes" in answered["RQ3"].verdict.sentence
    assert all(answered[number].verdict.word == NOT_ANSWERED for number in answered)


def test_extractors_are_compared_with_the_detector_alone_and_with_pca() -> None:
    found = [made("fanogan", data, 0.8) for data in (*SETS, POOL)]
    found += [made("fanogan", data, 4, extractor="resnet18") for data in (*SETS, POOL)]
    found += [made("fanogan", data, 2, extractor="pca") for data in (*SETS, POOL)]
    answered = answers(*found)
    said = {number: each.verdict.sentence for number, each in answered.items()}
    words = {number: each.verdict.word for number, each in answered.items()}
    assert words == {"RQ1": NOT_ANSWERED, "RQ2": "Deep", "RQ3": NOT_ANSWERED, "RQ4": "Yes", "RQ5": "Yes"}
    assert said["RQ2"] == "resnet18+fanogan is better than PCA's features."
    assert said["RQ3"].startswith("The methods share only 4 classes")
    assert said["RQ4"].startswith("resnet18+fanogan is better than fanogan alone.")
    assert "with the labels of the anomalies' classes" in said["RQ4"]
    assert "resnet18+fanogan and pca+fanogan are better than fanogan alone, with at most 5 %" in said["RQ5"]
    texts = {
        number: [line for block in every(each) if isinstance(block, Items) for line in block.lines]
        for number, each in answered.items()
    }
    assert any(text.startswith("resnet18+fanogan beats pca+fanogan on 12 of 12 blocks") for text in texts["RQ2"])
    assert any("No p-value is computed" in text for text in texts["RQ3"])
    assert any("points of AUROC" in text and "the difference is supported" in text for text in texts["RQ4"])
    assert any("points of recall" in text for text in texts["RQ5"])


def test_a_base_that_is_better_makes_a_no_and_mixed_ones_a_partly() -> None:
    worse = [made("fanogan", data, quality, extractor=extractor) for data in SETS
             for extractor, quality in ((None, 1.5), ("resnet18", 0.2))]  # fmt: skip
    verdict = answers(*worse)["RQ4"].verdict
    assert verdict.word == "No"
    assert verdict.sentence.startswith("resnet18+fanogan is worse than fanogan alone.")
    mixed = [*worse, *(made("fanogan", data, 9, extractor="lenet5") for data in SETS)]
    verdict = answers(*mixed)["RQ4"].verdict
    assert verdict.word == "Partly"
    assert verdict.sentence.startswith("lenet5+fanogan is better than fanogan alone; resnet18+")


def test_missed_anomalies_are_counted_at_an_equal_false_positive_rate() -> None:
    found = [made("fanogan", data, quality, extractor=extractor) for data in SETS
             for extractor, quality in ((None, 0.8), ("resnet18", 4))]  # fmt: skip
    question = answers(*found)["RQ5"]
    (rates,) = [block for block in question.blocks if isinstance(block, Table) and block.name == "missed anomalies"]
    of = evidence(found)
    recall = [each.summary("recall_at_5_fpr").mean for each in of.of("resnet18+fanogan")]
    missed, caught = dict(rates.rows)["resnet18+fanogan"]
    assert abs(caught.numbers["mean"] - sum(recall) / 3) < 1e-9
    assert abs(missed.numbers["mean"] + caught.numbers["mean"] - 1) < 1e-12


def test_what_an_answer_rests_on_is_what_the_tests_give() -> None:
    found = [made(name, data, quality) for data in SETS for name, quality in
             (("vae", 4), ("fanogan", 1.5), ("dagmm", 0.5))]  # fmt: skip
    question = answers(*found)["RQ1"]
    assert [type(block) for block in question.blocks] == [Fold]
    (chart,) = [block for block in every(question) if isinstance(block, Chart)]
    of = evidence(found)
    table = {
        name: {block: value for each in of.of(name) for block, value in each.by_block().items()} for name in of.methods
    }
    result = compare(table)
    assert {name: entries[0].numbers["value"] for name, entries in chart.table.rows} == result.mean_ranks
    texts = [block.text for block in every(question) if isinstance(block, Text)]
    assert any("p-values are optimistic" in text for text in texts)
    (pairs,) = [block for block in every(question) if isinstance(block, Table)]
    assert [entries[3].numbers["p"] for _, entries in pairs.rows] == [pair.p_holm for pair in result.pairs]


def test_other_conditions_are_never_set_against_the_main_ones() -> None:
    found = [made(name, data, quality) for data in SETS for name, quality in (("vae", 4), ("fanogan", 1.5))]
    other = made("dagmm", "optdigits", 9, budgets=(1,), limit=3)
    assert "dagmm" not in answers(*found, other)["RQ1"].verdict.sentence


def test_answers_are_whole_sentences_also_where_nothing_is_supported() -> None:
    alike = [made("fanogan", data, 1, extractor=extractor) for data in SETS for extractor in (None, "resnet18", "pca")]
    for recorded in (alike, [made("fanogan")], [made("vae", data, 2) for data in SETS]):
        for question in answers(*recorded).values():
            sentence = question.verdict.sentence
            assert sentence.endswith(".")
            assert " is." not in sentence
            assert ":" not in sentence.partition(". ")[0]
    none = answers(*alike)["RQ4"].verdict.sentence
    assert none.startswith("No difference of resnet18+fanogan from fanogan alone is supported.")
