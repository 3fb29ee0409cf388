import warnings

import numpy as np
import pytest
import scikit_posthocs
import scipy.stats
from block_tables import separated, table_of
from statsmodels.stats.multitest import multipletests

from fanogan_mtl.evaluation.significance import (
    MIN_BLOCKS,
    compare,
)

# Demšar (2006), table 6: AUC of C4.5 without and with its parameters m and cf tuned, on 14 UCI data sets. The table
# prints 0.975 twice for voting, but ranks C4.5+cf 2 and C4.5+m+cf 3: the fourth digit here is of those ranks.
C45 = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
AUC = {
    "adult (sample)": (0.763, 0.768, 0.771, 0.798),
    "breast cancer": (0.599, 0.591, 0.590, 0.569),
    "breast cancer wisconsin": (0.954, 0.971, 0.968, 0.967),
    "cmc": (0.628, 0.661, 0.654, 0.657),
    "ionosphere": (0.882, 0.888, 0.886, 0.898),
    "iris": (0.936, 0.931, 0.916, 0.931),
    "liver disorders": (0.661, 0.668, 0.609, 0.685),
    "lung cancer": (0.583, 0.583, 0.563, 0.625),
    "lymphography": (0.775, 0.838, 0.866, 0.875),
    "mushroom": (1.000, 1.000, 1.000, 1.000),
    "primary tumor": (0.940, 0.962, 0.965, 0.962),
    "rheum": (0.619, 0.666, 0.614, 0.669),
    "voting": (0.972, 0.981, 0.9751, 0.975),
    "wine": (0.957, 0.978, 0.946, 0.970),
}
Q_05 = {3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}  # his table 5(a)

# Hollander and Wolfe (1973), p. 140, as in R's `friedman.test`: seconds of 22 players, in three ways to first base
SECONDS = """
5.40 5.50 5.55  5.85 5.70 5.75  5.20 5.60 5.50  5.55 5.50 5.40  5.90 5.85 5.70  5.45 5.55 5.60  5.40 5.40 5.35
5.45 5.50 5.35  5.25 5.15 5.00  5.85 5.80 5.70  5.25 5.20 5.10  5.65 5.55 5.45  5.60 5.35 5.45  5.05 5.00 4.95
5.50 5.50 5.40  5.45 5.55 5.50  5.55 5.55 5.35  5.45 5.50 5.55  5.50 5.45 5.25  5.65 5.60 5.40  5.70 5.65 5.55
6.30 6.30 6.25
"""
# Hollander and Wolfe (1973), p. 29, as in R's `wilcox.test`: Hamilton depression scale of nine patients at two visits
FIRST_VISIT = (1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30)
SECOND_VISIT = (0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29)


def random_values(seed):
    """Values of 3 to 7 methods on 6 to 40 blocks, with many ties for every other seed."""
    random = np.random.default_rng(seed)
    n, k = random.integers(MIN_BLOCKS, 41), random.integers(3, 8)
    values = np.clip(random.normal(0.8, 0.1, size=(n, 1)) + random.normal(0, 0.05, size=(n, k)), 0, 1)
    return np.round(values + 0.02 * np.arange(k), 2 if seed % 2 else 10).clip(0, 1)


@pytest.fixture(scope="module")
def demsar():
    return compare(table_of(list(AUC.values()), C45))


class TestPublishedExamples:
    def test_demsars_mean_ranks_and_critical_difference(self, demsar):
        assert demsar.mean_ranks == pytest.approx(dict(zip(C45, (3.143, 2.000, 2.893, 1.964), strict=True)), abs=5e-4)
        assert demsar.friedman.critical_difference == pytest.approx(1.25, abs=5e-3)
        assert demsar.friedman.critical_difference / np.sqrt(4 * 5 / (6 * 14)) == pytest.approx(2.569, abs=5e-4)

    def test_demsars_friedman_statistics_are_ours_without_the_correction_for_ties(self, demsar):
        ranks = np.array([scipy.stats.rankdata(row) for row in AUC.values()])
        ties = 1 - sum(count**3 - count for row in ranks for count in np.unique(row, return_counts=True)[1]) / 840
        statistic = demsar.friedman.statistic * ties  # 840 is n k (k^2 - 1)
        assert statistic == pytest.approx(9.28, abs=5e-3)
        assert 13 * statistic / (14 * 3 - statistic) == pytest.approx(3.69, abs=5e-3)
        assert ties < 1
        assert demsar.friedman.f_statistic == pytest.approx(
            13 * demsar.friedman.statistic / (42 - demsar.friedman.statistic)
        )

    def test_demsar_rejects_equality_and_tells_no_pair_apart(self, demsar):
        assert demsar.friedman.is_supported
        assert demsar.friedman.groups == [["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]]

    def test_demsars_wilcoxon_example(self, demsar):
        pair = demsar.pairs[0]
        assert (pair.first, pair.second, pair.wins, pair.ties, pair.losses) == ("C4.5", "C4.5+m", 2, 2, 10)
        assert pair.statistic == 12  # R-
        assert pair.rank_biserial == pytest.approx((12 - 93) / (12 + 93))
        assert pair.p < 0.05

    @pytest.mark.parametrize("k", sorted(Q_05))
    def test_demsars_critical_values(self, k):
        test = compare(table_of(np.random.default_rng(k).random((8, k)))).friedman
        assert test.critical_difference / np.sqrt(k * (k + 1) / (6 * 8)) == pytest.approx(Q_05[k], abs=1e-3)

    def test_hollander_and_wolfes_base_runners(self):
        values = 1 - np.array(SECONDS.split(), float).reshape(22, 3) / 10
        found = compare(table_of(values, ("round out", "narrow angle", "wide angle")))
        assert found.friedman.statistic == pytest.approx(11.1429, abs=5e-5)
        assert found.friedman.p == pytest.approx(0.003805, abs=5e-7)
        assert {name: 22 * rank for name, rank in found.mean_ranks.items()} == pytest.approx(
            {"round out": 53, "narrow angle": 47, "wide angle": 32}
        )

    def test_hollander_and_wolfes_depressed_patients(self):
        (pair,) = compare(table_of(np.transpose([FIRST_VISIT, SECOND_VISIT]) / 4)).pairs
        assert pair.statistic == 45 - 40  # R gives V = 40, the other rank sum
        assert pair.p == pytest.approx(0.03906, abs=5e-6)
        assert pair.p_holm == pair.p


class TestAgreement:
    @pytest.mark.parametrize("seed", range(8))
    def test_with_scipy_and_scikit_posthocs(self, seed):
        values = random_values(seed)
        n, k = values.shape
        found = compare(table_of(values))
        test = found.friedman
        statistic, p = scipy.stats.friedmanchisquare(*values.T)
        assert (test.statistic, test.p) == pytest.approx((statistic, p))
        assert found.kendall_w == pytest.approx(statistic / (n * (k - 1)))
        assert test.f_p == pytest.approx(scipy.stats.f.sf(test.f_statistic, k - 1, (k - 1) * (n - 1)))
        nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(values).to_numpy()
        assert [list(row.values()) for row in test.nemenyi_p.values()] == pytest.approx(nemenyi)
        assert list(found.mean_ranks.values()) == pytest.approx(scipy.stats.rankdata(-values, axis=1).mean(axis=0))

    @pytest.mark.parametrize("seed", range(8))
    def test_of_pairs_with_scipy_and_statsmodels(self, seed):
        values = random_values(seed)
        found = compare(table_of(values))
        n = len(values)
        expected = []
        for pair in found.pairs:
            first, second = (values[:, "abcdefg".index(name)] for name in (pair.first, pair.second))
            difference = np.round(first - second, 9)
            result = scipy.stats.wilcoxon(difference, zero_method="zsplit")
            expected.append(result.pvalue)
            assert (pair.statistic, pair.p) == pytest.approx((result.statistic, result.pvalue))
            assert abs(pair.rank_biserial) == pytest.approx(1 - 4 * result.statistic / (n * (n + 1)))
            assert pair.median_difference == pytest.approx(np.median(difference))
            counts = tuple(int(np.sum(np.sign(difference) == sign)) for sign in (1, 0, -1))
            assert (pair.wins, pair.ties, pair.losses) == counts
        assert [pair.p_holm for pair in found.pairs] == pytest.approx(multipletests(expected, method="holm")[1])
        assert {pair.comparisons for pair in found.pairs} == {len(found.pairs)}

    @pytest.mark.parametrize("seed", range(8))
    def test_groups_are_the_largest_of_which_no_two_differ_by_nemenyi(self, seed):
        random = np.random.default_rng(seed)
        test = compare(table_of((random.normal(0.5, 0.03, (25, 6)) + 0.025 * np.arange(6)).clip(0, 1))).friedman
        assert test.is_supported
        alike = {frozenset(group) for group in test.groups}
        for group in alike:
            assert all(test.nemenyi_p[one][other] > 0.05 for one in group for other in group)
            assert not any(group < other for other in alike)
        for one, row in test.nemenyi_p.items():
            for other, p in row.items():
                together = one == other or any({one, other} <= group for group in alike)
                assert together == (p > 0.05)


class TestEdges:
    def test_two_methods_have_a_pair_and_no_friedman_test(self):
        found = compare(table_of(random_values(0)[:, :2]))
        assert (found.friedman, found.kendall_w) == (None, None)
        assert found.pairs[0].p == found.pairs[0].p_holm is not None

    def test_blocks_that_a_method_lacks_are_left_out(self):
        table = separated(n=12)
        del table["b"]["data 1", "1"]
        table["c"]["data 9", "9"] = 0.0
        found = compare(table)
        assert len(found.blocks) == 11
        assert ("data 1", "1") not in found.blocks
        assert ("data 9", "9") not in found.blocks

    @pytest.mark.parametrize(("n", "is_enough"), [(1, False), (MIN_BLOCKS - 1, False), (MIN_BLOCKS, True)])
    def test_few_blocks_have_ranks_and_effects_but_no_p(self, n, is_enough):
        found = compare(separated(n=n))
        assert (found.friedman is not None) == is_enough
        for pair in found.pairs:
            assert [value is not None for value in (pair.statistic, pair.p, pair.p_holm)] == [is_enough] * 3
            assert pair.rank_biserial == 1
        assert found.mean_ranks == {"a": 1, "b": 2, "c": 3, "d": 4}
        assert found.kendall_w == pytest.approx(1)

    def test_fewest_blocks_can_reach_five_percent_and_one_less_cannot(self):
        assert compare(separated(n=MIN_BLOCKS)).pairs[0].p < 0.05
        assert scipy.stats.wilcoxon(np.arange(1, MIN_BLOCKS)).pvalue > 0.05

    @pytest.mark.parametrize(("k", "n"), [(2, 8), (2, 20), (3, 8), (3, 60)])
    def test_equal_methods_have_p_1_and_no_warning(self, k, n):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = compare(table_of(np.full((n, k), 0.7)))
        assert {(pair.p, pair.p_holm, pair.rank_biserial, pair.ties) for pair in found.pairs} == {(1.0, 1.0, 0.0, n)}
        if k == 3:
            assert (found.friedman.statistic, found.friedman.p, found.friedman.f_p, found.kendall_w) == (0, 1, 1, 0)
            assert found.friedman.groups == [["a", "b", "c"]]

    def test_blocks_that_all_agree_have_an_infinite_f(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            test = compare(separated()).friedman
        assert (test.f_statistic, test.f_p) == (np.inf, 0)

    def test_last_bits_of_the_arithmetic_are_ties(self):
        found = compare(table_of([[0.1 + 0.2, 0.3]] * 7))
        assert found.pairs[0].ties == 7
        assert found.mean_ranks == {"a": 1.5, "b": 1.5}
        ties = compare(table_of([[0.763, 0.768], [0.936, 0.931]] * 3)).pairs[0]  # differences of 0.005, not to the bit
        assert ties.rank_biserial == 0

    def test_below_friedmans_threshold_all_are_one_group(self):
        found = compare(table_of(np.random.default_rng(15).random((6, 6))))
        test, ranks = found.friedman, sorted(found.mean_ranks.values())
        assert test.f_p > 0.05
        assert ranks[-1] - ranks[0] > test.critical_difference  # chance alone, which a first test guards from
        assert [sorted(group) for group in test.groups] == [list("abcdef")]

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({"a": {("d", "0"): 0.5}}, "two methods"),
            ({"a": {("d", "0"): 0.5}, "b": {("d", "1"): 0.5}}, "no block"),
            ({"a": {("d", "0"): 0.5}, "b": {("d", "0"): 50.0}}, "1 of 2 values"),
            ({"a": {("d", "0"): np.nan}, "b": {("d", "0"): 0.5}}, "1 of 2 values"),
        ],
    )
    def test_unusable_tables_are_refused(self, table, message):
        with pytest.raises(ValueError, match=message):
            compare(table)
