"""What tests come to is said in whole sentences: the better method first, and no claim that a test doesn't carry."""

import numpy as np
import pytest
from block_tables import separated, table_of

from fanogan_mtl.evaluation.significance import MIN_BLOCKS, compare
from fanogan_mtl.report.sentences import effect_word, methods_sentence, optimism_note, p_text, pair_sentence


def test_methods_that_differ():
    assert methods_sentence(compare(separated())) == (
        "The 4 methods differ on 20 blocks (Friedman chi-square 60.00, p < 0.0001; Iman and Davenport's F "
        "infinite, p < 0.0001; Kendall's W 1.00 (large)). a has the best mean rank, 1.00 of 4. By Nemenyi's test, "
        "mean ranks differ if they are 1.05 or more apart: 3 of 6 pairs are, and a is better than c and d."
    )


def test_of_a_pair_names_the_better_method_first():
    values = np.full((10, 2), 0.7)
    values[:, 1] += 0.01 * np.arange(-1, 9)
    expected = (
        "b beats a on 8 of 10 blocks (1 tied), median difference 3.5 points of AUROC, rank-biserial 0.89 (large), "
        "p = {}: the difference is supported."
    )
    (pair,) = compare(table_of(values)).pairs
    (swapped,) = compare(table_of(values[:, ::-1], "ba")).pairs
    assert pair_sentence(pair) == pair_sentence(swapped) == expected.format(f"{pair.p:.2g}")
    assert (pair.wins, pair.losses, pair.rank_biserial) == (swapped.losses, swapped.wins, -swapped.rank_biserial)


def test_of_a_pair_that_is_not_told_apart():
    pair = compare(table_of(np.random.default_rng(0).random((10, 3)))).pairs[0]
    assert pair.p_holm > 0.05
    assert "points of accuracy," in pair_sentence(pair, "accuracy")
    assert pair_sentence(pair).endswith("after Holm's correction: the difference is not supported.")


def test_note_counts_blocks_and_data_sets():
    blocks = [(dataset, str(label)) for dataset in ("mnist", "svhn") for label in range(10)]
    assert optimism_note(blocks).startswith("The 20 blocks come from 2 data sets.")
    assert "optimistic" in optimism_note(blocks[:10])
    assert "come from 1 data set." in optimism_note(blocks[:10])
    assert "optimistic" not in optimism_note([("mnist", "0"), ("svhn", "0")])


def test_words_and_p_values():
    words = [effect_word(effect) for effect in (0.09, -0.1, 0.3, -0.5, 1)]
    assert words == ["negligible", "small", "medium", "large", "large"]
    assert [p_text(p) for p in (0.0, 0.00012, 0.0263, 1.0)] == ["p < 0.0001", "p = 0.00012", "p = 0.026", "p = 1"]


def test_two_methods_are_told_by_their_pair():
    found = compare(table_of(np.random.default_rng(0).random((9, 2))))
    assert methods_sentence(found) == pair_sentence(found.pairs[0])
    assert methods_sentence(found, "accuracy") == pair_sentence(found.pairs[0], "accuracy")
    assert "Holm" not in methods_sentence(found)


@pytest.mark.parametrize(("n", "is_enough"), [(1, False), (MIN_BLOCKS - 1, False), (MIN_BLOCKS, True)])
def test_of_few_blocks_it_is_said_that_there_is_no_p(n, is_enough):
    found = compare(separated(n=n))
    text = f"No p-value is computed: all methods have {n} block{'s' if n > 1 else ''}, and a test needs at least 6."
    assert (text in methods_sentence(found)) != is_enough
    assert (text in pair_sentence(found.pairs[0])) != is_enough
    assert ("p <" in methods_sentence(found)) == is_enough


def test_methods_that_are_equal_or_not_told_apart():
    equal = compare(table_of(np.full((8, 3), 0.7)))
    assert methods_sentence(equal).startswith("No difference between the 3 methods is supported on 8 blocks")
    assert pair_sentence(equal.pairs[0]) == "a and b are equal on all 8 blocks."
    chance = compare(table_of(np.random.default_rng(15).random((6, 6))))
    assert methods_sentence(chance).startswith("No difference")


def test_methods_can_differ_of_which_no_pair_is_told_apart():
    found = compare(table_of(np.random.default_rng(144).random((8, 4))))
    assert methods_sentence(found).startswith("The 4 methods differ on 8 blocks")
    assert methods_sentence(found).endswith(": no pair is.")
