"""Results have names that tell them apart, and only what was run under the same conditions is compared."""

import numpy as np
import pytest
from made_evidence import made

from fanogan_mtl.evaluation.bootstrap import auroc_interval
from fanogan_mtl.report.evidence import evidence


def test_settings_conditions_and_data_are_told_apart_by_name() -> None:
    found = evidence(
        [
            made("fanogan"),
            made("fanogan", setting="tuned", parameters={"latent_dim": 8}),
            made("fanogan", setting="custom", parameters={"latent_dim": 9}),
            made("fanogan", setting="custom", parameters={"latent_dim": 10}),
            made("fanogan", limit=5, budgets=(1,), classes=("0",)),
            made("vae", digest="another", classes=("0",)),
            made("vae"),
        ]
    )
    names = [(each.method, each.dataset) for each in found.results]
    assert len(set(names)) == 7
    assert ("fanogan", "handwritten") in names
    assert ("fanogan (tuned)", "handwritten") in names
    assert ("fanogan [limit 5, 1 epochs]", "handwritten") in names
    assert ("vae", "handwritten [anothe]") in names
    assert [each.main for each in found.results if "limit 5" in each.method] == [False]


def test_a_summary_is_the_mean_over_budgets_seeds_and_classes() -> None:
    recorded = made(seeds=(0, 1))
    (result,) = evidence([recorded]).results
    values = {(cell.normal_class, cell.seed, budget): cell.result.metrics[budget]["auroc"]
              for cell in recorded.cells for budget in (2, 4)}  # fmt: skip
    summary = result.summary()
    assert summary.mean == pytest.approx(np.mean(list(values.values())))
    by_seed = [np.mean([value for (_, of, _), value in values.items() if of == seed]) for seed in (0, 1)]
    assert summary.std_over_seeds == pytest.approx(np.std(by_seed, ddof=1))
    at_four = [value for (_, _, budget), value in values.items() if budget == 4]
    assert result.summary("auroc", [4]).mean == pytest.approx(np.mean(at_four))
    tests = [(cell.result.anomaly, cell.result.scores[-1], cell.result.rows) for cell in recorded.cells]
    assert result.interval == auroc_interval(tests)
    assert result.interval[0] < result.summary("auroc", [4]).mean < result.interval[1]


def test_the_default_setting_speaks_for_a_method_and_pools_come_last() -> None:
    found = evidence(
        [
            made("knn", extractor="pca"),
            made("fanogan", "handwritten+optdigits"),
            made("fanogan", setting="tuned", parameters={"latent_dim": 8}),
            made("fanogan"),
            made("fanogan", extractor="pca", protocol="unseen-domain"),
        ]
    )
    assert found.method(None, "fanogan") == "fanogan"
    assert found.method("pca", "fanogan") is None
    assert found.method("pca", "fanogan", "unseen-domain") == "pca+fanogan (unseen-domain)"
    assert found.datasets == ("handwritten", "all 2 pooled")
    assert found.methods[0] == "fanogan"
