from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split
from toy_datasets import balanced_dataset, make_dataset, make_images, make_vectors

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.draws import limited_rows
from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.data.splits import Part, Split, choosing_parts, one_vs_rest, split_rows
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.sanity import copies


def parts(split: Split) -> list[Part]:
    return [split.train, split.validation, split.test]


def contents(part: Part) -> list[bytes]:
    return [image.tobytes() for image in part.pixels]


def class_sizes(part: Part) -> list[int]:
    return np.bincount(part.labels).tolist()


def assert_follows_the_protocol(dataset: Dataset, split: Split, normal: int) -> None:
    n_train = len(dataset.train.labels)
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    pixels = np.concatenate([dataset.train.pixels, dataset.test.pixels])
    for part in parts(split):
        np.testing.assert_array_equal(part.labels, labels[part.rows])
        np.testing.assert_array_equal(part.pixels, pixels[part.rows])
        np.testing.assert_array_equal(part.anomaly, part.labels != normal)
        assert len(set(part.rows.tolist())) == len(part.rows)
    train, validation, test = (set(contents(part)) for part in parts(split))
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert not split.train.anomaly.any()
    assert split.train.rows.max() < n_train
    assert split.validation.rows.max() < n_train
    assert (split.test.rows[split.test.anomaly] >= n_train).all()
    for part in (split.validation, split.test):
        n_normal = int((~part.anomaly).sum())
        sizes = [size for size in class_sizes(part) if size]
        assert n_normal > 0
        assert len(sizes) > 1
        assert max(sizes) == n_normal


def test_exactly_one_normal_to_nine_anomalies():
    split = one_vs_rest(balanced_dataset(50, 20), "3", seed=0)
    assert class_sizes(split.train) == [0, 0, 0, 40]
    assert class_sizes(split.validation) == [5] * 10
    assert class_sizes(split.test) == [20] * 10  # the smallest other class has 20, though 5 + 20 are normal


def test_k_is_the_number_of_normal_images_where_the_others_are_more():
    train_labels = np.repeat([0, 1, 2], [11, 30, 40])
    test_labels = np.repeat([0, 1, 2], [4, 30, 7])
    numbers = np.arange(len(train_labels) + len(test_labels))
    dataset = make_dataset((numbers[: len(train_labels)], train_labels), (numbers[len(train_labels) :], test_labels))
    split = one_vs_rest(dataset, "0", seed=1)
    assert [class_sizes(part) for part in parts(split)] == [[8], [1, 1, 1], [6, 6, 6]]
    assert (split.test.rows[~split.test.anomaly] < len(train_labels)).sum() == 2


def sized_dataset(train: tuple[int, ...], test: tuple[int, ...]) -> Dataset:
    """Make a data set with so many different images of each class."""
    train_labels, test_labels = (np.repeat(np.arange(len(sizes)), sizes) for sizes in (train, test))
    numbers = np.arange(sum(train) + sum(test))
    return make_dataset((numbers[: sum(train)], train_labels), (numbers[sum(train) :], test_labels))


@pytest.mark.parametrize(
    ("train", "test", "validated", "tested"),
    [
        ((160, 48, 1), (40, 12, 1), [16, 16, 1], [56, 12, 1]),  # a rare class shrinks neither the normal nor the other
        ((160, 48, 8), (40, 12, 2), [8, 8, 8], [56, 12, 2]),  # each part for itself
        ((800, 6), (200, 2), [80, 6], [280, 2]),
        ((800, 6, 6), (200, 2, 2), [80, 6, 6], [280, 2, 2]),
        ((100, 100), (25, 25), [10, 10], [25, 25]),
        ((40, 1), (10, 0, 1), [4, 1], [14, 0, 1]),  # other kinds of anomalies there than here
        ((40, 0, 9), (10, 1, 3), [4, 0, 4], [14, 1, 3]),
        ((12, 400, 400), (3, 100, 100), [1, 1, 1], [5, 5, 5]),  # few normal images are what limits
        ((400, *range(1, 30)), (100, *range(1, 30)), [40, *range(1, 30)], [140, *range(1, 30)]),
    ],
)
def test_classes_of_unlike_sizes_are_each_drawn_at_their_own(
    train: tuple[int, ...], test: tuple[int, ...], validated: list[int], tested: list[int]
) -> None:
    split = one_vs_rest(sized_dataset(train, test), "0", seed=0)
    assert [class_sizes(part) for part in parts(split)[1:]] == [validated, tested]


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any),
    st.lists(st.integers(0, 60), min_size=6, max_size=6),
    st.integers(6, 200),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_no_class_vanishes_and_no_part_is_less_than_half_of_what_there_is(others, tested, n_train, n_test, seed):
    dataset = sized_dataset((n_train, *others), (n_test, *tested[: len(others)]))
    try:
        split = one_vs_rest(dataset, "0", seed)
    except UserError:
        return
    held_out = n_train - n_train * 4 // 5
    available = [(held_out // 2, others), (held_out - held_out // 2 + n_test, tested[: len(others)])]
    for part, (n_normal, sizes) in zip(parts(split)[1:], available, strict=True):
        drawn = np.bincount(part.labels, minlength=1 + len(others))
        most = np.minimum([n_normal, *sizes], n_normal)
        assert (drawn > 0).tolist() == (most > 0).tolist()
        assert (drawn <= most).all()
        assert 2 * drawn.sum() >= most.sum()
        assert (drawn == most).all() or len(set(drawn[drawn > 0].tolist())) == 1


def test_a_pair_is_drawn_as_both_are_among_all_classes() -> None:
    balanced = sized_dataset((500, 100, 100, 100, 100, 100), (400, 100, 100, 100, 100, 100))
    pair = one_vs_rest(balanced, "0", 0, anomalous_class="1")
    assert class_sizes(pair.test) == [100, 100]  # though 450 are normal
    assert class_sizes(one_vs_rest(balanced, "0", 0).test) == [100] * 6
    with_a_rare_one = sized_dataset((500, 100, 2), (400, 100, 2))
    assert class_sizes(one_vs_rest(with_a_rare_one, "0", 0, anomalous_class="1").test) == [450, 100]
    assert class_sizes(one_vs_rest(with_a_rare_one, "0", 0, anomalous_class="2").test) == [450, 0, 2]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("handwritten", "d15adb492721df95"),
        ("optdigits", "372c7cf4f35ebf89"),
        ("handwritten+optdigits", "b973b375cb9c82b1"),
    ],
)
def test_sets_that_balance_are_split_as_ever(sample_dir: Path, name: str, digest: str) -> None:
    """Digests of row numbers as version 0.1 drew them, by which recorded figures can be had again."""
    (spec,) = parse_datasets(name)
    dataset, rows = load_dataset(spec, sample_dir), sha256()
    for normal, seed, limit, other in product(("0", "7"), (0, 1), (None, 100), (None, "3")):
        split = split_rows(dataset, normal, seed, limit, other)
        for part in (split.train, split.validation, split.test):
            rows.update(part.astype("<i8").tobytes())
    assert rows.hexdigest()[:16] == digest


@pytest.mark.parametrize("anomalous", [None, "9", "7"])
def test_published_sizes_of_street_numbers_and_of_usps_balance(anomalous: str | None) -> None:
    sets = {
        "0": ((1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644), (359, 264, 198, 166, 200, 160, 170, 147, 177, 166)),
        "1": (
            (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
            (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595),
        ),
    }
    for normal, (train, test) in sets.items():
        for part in parts(one_vs_rest(sized_dataset(train, test), normal, 0, anomalous_class=anomalous))[1:]:
            sizes = [size for size in class_sizes(part) if size]
            assert len(sizes) == (10 if anomalous is None else 2)
            assert len(set(sizes)) == 1


@st.composite
def crowded_datasets(draw: st.DrawFn) -> Dataset:
    """Make data sets whose images are copied within and across classes, parts and domains."""
    n_classes = draw(st.integers(2, 4))
    n_contents = draw(st.sampled_from([15, 60, 400]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        return random.integers(0, n_contents, n), random.integers(0, n_classes, n)

    return make_dataset(part(draw(st.integers(20, 150))), part(draw(st.integers(5, 80))), draw(st.integers(1, 3)))


@given(crowded_datasets(), st.integers(0, 5), st.sampled_from([None, 8, 20]))
def test_parts_share_no_content_however_often_the_source_repeats_itself(dataset, seed, limit):
    try:
        split = one_vs_rest(dataset, "1", seed, limit)
    except UserError:
        return
    assert_follows_the_protocol(dataset, split, normal=1)
    again = split_rows(dataset, "1", seed, limit)
    assert [part.rows.tolist() for part in parts(split)] == [
        again.train.tolist(),
        again.validation.tolist(),
        again.test.tolist(),
    ]


@given(crowded_datasets(), st.integers(0, 5), st.sampled_from([None, 8, 20]))
def test_who_chooses_gets_the_same_training_and_validation(dataset, seed, limit):
    try:
        split = one_vs_rest(dataset, "1", seed, limit)
    except UserError:
        return
    train, validation = choosing_parts(dataset, "1", seed, limit)
    for part, given_out in ((split.train, train), (split.validation, validation)):
        for name, array in vars(part).items():
            np.testing.assert_array_equal(array, getattr(given_out, name))


@given(crowded_datasets(), crowded_datasets(), st.integers(0, 5), st.sampled_from([None, 8, 20]))
def test_who_chooses_sees_nothing_of_another_test(dataset, other, seed, limit):
    poisoned = replace(
        dataset, test=replace(other.test, labels=np.minimum(other.test.labels, dataset.train.labels.max()))
    )
    try:
        train, validation = choosing_parts(dataset, "1", seed, limit)
    except UserError:
        return
    if len(np.unique(dataset.train.labels)) == 1:
        return
    again = choosing_parts(poisoned, "1", seed, limit)
    assert [part.rows.tolist() for part in again] == [train.rows.tolist(), validation.rows.tolist()]


@given(crowded_datasets(), st.integers(0, 5))
def test_copies_of_training_images_stay_in_training(dataset, seed):
    try:
        train = one_vs_rest(dataset, "1", seed).train
    except UserError:
        return
    own = [image.tobytes() for image in dataset.train.pixels[dataset.train.labels == 1]]
    assert len(set(contents(train))) == len(set(own)) * 4 // 5
    assert sorted(contents(train)) == sorted(content for content in own if content in set(contents(train)))


@given(st.permutations(range(80)), st.integers(0, 5))
def test_a_split_depends_on_content_not_on_the_order_of_the_file(order, seed):
    dataset = balanced_dataset(20, 10, n_classes=4)
    shuffled = replace(
        dataset, train=make_images(np.array(order), dataset.train.labels[list(order)], np.zeros(80, int))
    )
    for part, other in zip(
        parts(one_vs_rest(dataset, "2", seed)), parts(one_vs_rest(shuffled, "2", seed)), strict=True
    ):
        assert sorted(contents(part)) == sorted(contents(other))


@pytest.mark.parametrize("limit", [None, 15])
def test_training_ignores_the_test_and_every_other_class(limit: int | None):
    dataset = balanced_dataset(30, 10)
    train_labels, poison = dataset.train.labels, np.arange(10_000, 10_400)
    train_numbers = np.where(train_labels == 4, np.arange(300), poison[:300])
    poisoned = make_dataset((train_numbers, train_labels), (poison[300:], dataset.test.labels[::-1]))
    before, after = (one_vs_rest(each, "4", 3, limit) for each in (dataset, poisoned))
    assert contents(before.train) == contents(after.train)
    assert before.train.rows.tolist() == after.train.rows.tolist()
    assert contents(before.validation) != contents(after.validation)
    assert contents(before.test) != contents(after.test)


def test_seeds_and_classes_draw_differently():
    dataset = balanced_dataset(50, 20)
    draws = {(name, seed): split_rows(dataset, name, seed) for name in ("3", "4") for seed in range(3)}
    assert len({draw.train.tobytes() for draw in draws.values()}) == 6
    anomalies = [set(draws[name, 0].validation.tolist()) - set(range(150, 250)) for name in ("3", "4")]
    assert anomalies[0] != anomalies[1]


def test_every_seed_sees_the_same_limited_images():
    dataset = balanced_dataset(100, 40)
    splits = [vars(split_rows(dataset, "0", seed, limit=10)) for seed in range(100)]
    seen = np.unique(np.concatenate([rows for split in splits for rows in split.values()]))
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    for in_train in (True, False):
        counts = np.bincount(labels[seen[(seen < 1000) == in_train]])
        assert counts.tolist() == [10] * 10


def test_a_limit_counts_each_domain_of_a_pool():
    dataset = balanced_dataset(90, 60, n_classes=3, n_domains=3)
    rows = split_rows(dataset, "0", 0, limit=10)
    assert len(rows.train) == 24  # 80 % of 10 in each of three domains
    assert len(rows.test) == 3 * 30
    test_domains = dataset.test.domains[rows.test[rows.test >= 270] - 270]
    assert np.bincount(test_domains).max() <= 30


def test_normal_test_images_are_drawn_evenly_from_both_sources():
    dataset = balanced_dataset(1000, 100, n_classes=3)  # 100 held out and 100 test images, of which 100 are drawn
    held_out = [int((split_rows(dataset, "0", seed).test < 1000).sum()) for seed in range(20)]
    assert 40 < np.mean(held_out) < 60


def single_class_dataset(train: int, test: tuple[int, ...]) -> Dataset:
    labels = np.repeat(np.arange(len(test)), test)
    return make_dataset((np.arange(train), np.zeros(train, int)), (np.arange(train, train + len(labels)), labels))


def test_without_training_anomalies_a_fifth_of_each_test_class_validates():
    split = one_vs_rest(single_class_dataset(30, (20, 12, 3, 1)), "0", seed=0)
    assert [class_sizes(part) for part in parts(split)] == [[30], [4, 2, 1], [16, 10, 2, 1]]
    rows = np.concatenate([part.rows for part in parts(split)])
    assert sorted(rows.tolist()) == list(range(30 + 36))


def test_without_training_anomalies_contents_are_kept_apart_too():
    numbers = np.array([0, 1, 40, 40, 41, 42, 43, 40, 41, 42, 43, 44, 45, 46, 47])
    dataset = make_dataset((np.arange(10), np.zeros(10, int)), (numbers, np.repeat([0, 1], [7, 8])))
    for seed in range(20):
        train, validation, test = (set(contents(part)) for part in parts(one_vs_rest(dataset, "0", seed)))
        assert not train & validation
        assert not train & test
        assert not validation & test


def vector_sizes(split: Split) -> list[list[int]]:
    return [np.bincount(part.labels, minlength=2).tolist() for part in parts(split)]


def distinct_vectors(normal: int, anomalies: int, contaminated: bool = False) -> Dataset:
    return make_vectors(np.arange(normal + anomalies), np.repeat([0, 1], [normal, anomalies]), contaminated)


@pytest.mark.parametrize(
    ("normal", "anomalies", "sizes"),
    [
        (100, 20, [[56, 12], [14, 2], [30, 6]]),
        (101, 21, [[56, 12], [14, 3], [31, 6]]),
        (10, 3, [[6, 1], [1, 1], [3, 1]]),
    ],
)
def test_vectors_are_split_as_adbench_does(normal: int, anomalies: int, sizes: list[list[int]]):
    for contaminated in (False, True):
        dataset = distinct_vectors(normal, anomalies, contaminated)
        split = one_vs_rest(dataset, "normal", seed=0)
        train = sizes[0] if contaminated else [sizes[0][0], 0]
        assert vector_sizes(split) == [train, *sizes[1:]]
        for part in parts(split):
            np.testing.assert_array_equal(part.labels, dataset.train.labels[part.rows])
            np.testing.assert_array_equal(part.pixels, dataset.train.pixels[part.rows])
            np.testing.assert_array_equal(part.anomaly, part.labels == 1)
            assert part.pixels.dtype == np.float32
        assert len(np.unique(np.concatenate([part.rows for part in parts(split)]))) == sum(
            map(sum, vector_sizes(split))
        )


def test_contamination_adds_anomalies_to_training_and_changes_nothing_else():
    clean, contaminated = (split_rows(distinct_vectors(100, 20, each), "normal", 0) for each in (False, True))
    assert contaminated.train[:56].tolist() == clean.train.tolist()
    assert (contaminated.train[56:] >= 100).all()
    assert contaminated.validation.tolist() == clean.validation.tolist()
    assert contaminated.test.tolist() == clean.test.tolist()


def copied_vectors(**how: bool) -> Dataset:
    """Half of the normal rows are one and the same, a fifth of the anomalies are copies of it."""
    contents = np.concatenate([np.zeros(100), np.arange(1, 101), np.zeros(8), np.arange(200, 232)]).astype(int)
    return make_vectors(contents, np.repeat([0, 1], [200, 40]), **how)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_vectors_are_split_row_for_row_copies_included(seed: int):
    labels = copied_vectors().train.labels
    trained, tested = train_test_split(
        np.arange(240), test_size=0.3, shuffle=True, stratify=labels, random_state=seed + 1
    )
    contaminated = split_rows(copied_vectors(contaminated=True), "normal", seed)
    assert contaminated.test.tolist() == sorted(tested.tolist())
    assert sorted([*contaminated.train, *contaminated.validation]) == sorted(trained.tolist())
    assert np.bincount(labels[contaminated.validation]).tolist() == [28, 5]  # a fifth of 140 and of 28
    clean = split_rows(copied_vectors(), "normal", seed)
    assert clean.train.tolist() == [row for row in contaminated.train if not labels[row]]
    assert clean.validation.tolist() == contaminated.validation.tolist()


def test_validation_leaves_the_densest_rows_in_training():
    for seed in range(10):
        train = one_vs_rest(copied_vectors(), "normal", seed).train
        assert 0.4 < (train.pixels[:, 0] == 0).mean() < 0.6


def test_without_copies_a_unique_split_is_the_same():
    labels = np.repeat([0, 1], [100, 20])
    usual, unique = (
        split_rows(make_vectors(np.arange(120), labels, unique=each), "normal", 0) for each in (False, True)
    )
    for part in ("train", "validation", "test"):
        assert getattr(usual, part).tolist() == getattr(unique, part).tolist()


def test_a_limit_keeps_the_share_of_copies():
    assert np.isin(np.arange(100), limited_rows(copied_vectors(), 50)).sum() in range(15, 36)


def test_how_many_tested_vectors_are_copies_of_trained_ones():
    for how, copied in (({}, True), ({"unique": True}, False)):
        dataset = copied_vectors(**how)
        split = one_vs_rest(dataset, "normal", 0)
        trained = set(contents(split.train))
        share = copies(content_hashes(split.test.pixels), content_hashes(split.train.pixels))
        assert share == np.mean([c in trained for c in contents(split.test)])
        assert (share > 0.2) == copied


@given(st.integers(0, 2**32), st.sampled_from([40, 100, 1000]), st.integers(0, 5), st.sampled_from([None, 30]))
def test_copies_of_unique_vectors_stay_on_one_side(random_seed, n_contents, seed, limit):
    random = np.random.default_rng(random_seed)
    labels = (random.random(200) < 0.2).astype(int)
    for contaminated in (False, True):
        dataset = make_vectors(random.integers(0, n_contents, 200), labels, contaminated, unique=True)
        try:
            split = one_vs_rest(dataset, "normal", seed, limit)
        except UserError:
            continue
        train, validation, test = (set(contents(part)) for part in parts(split))
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert contaminated or not split.train.anomaly.any()
        assert all(0 < part.anomaly.sum() < len(part.rows) for part in parts(split)[1:])
        if limit:
            assert np.sum(vector_sizes(split), axis=0).max() <= limit


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_test_part_of_vectors_is_adbenchs_own(seed: int):
    dataset = distinct_vectors(100, 20)
    _, tested = train_test_split(
        np.arange(120), test_size=0.3, shuffle=True, stratify=dataset.train.labels, random_state=seed + 1
    )
    assert split_rows(dataset, "normal", seed).test.tolist() == sorted(tested.tolist())


def test_a_split_of_vectors_depends_on_the_seed():
    dataset = distinct_vectors(100, 20, contaminated=True)
    draws = [split_rows(dataset, "normal", seed) for seed in (0, 0, 1)]
    for part in ("train", "validation", "test"):
        first, again, other_seed = (getattr(draw, part).tolist() for draw in draws)
        assert first == again != other_seed


def test_a_limit_counts_the_vectors_of_each_class():
    dataset = distinct_vectors(300, 200, contaminated=True)
    splits = [one_vs_rest(dataset, "normal", seed, limit=50) for seed in (0, 1)]
    seen = [np.sort(np.concatenate([part.rows for part in parts(split)])) for split in splits]
    assert seen[0].tolist() == seen[1].tolist()
    assert vector_sizes(splits[0]) == [[28, 28], [7, 7], [15, 15]]


@pytest.mark.parametrize(
    ("dataset", "normal", "limit", "complaint"),
    [
        (balanced_dataset(50, 20), "x", None, "data set 'toy' has no class 'x'; one of: 0, 1, 2"),
        (balanced_dataset(5, 20), "3", None, "class '3' of data set 'toy' has 5 different training images; at least 6"),
        (balanced_dataset(50, 20), "3", 5, "class '3' of data set 'toy' with limit 5 has 5 different training images"),
        (
            make_dataset((np.repeat([1, 2], 20), np.repeat([0, 1], 20)), (np.arange(9), np.arange(9) % 2)),
            "0",
            None,
            "class '0' of data set 'toy' has 1 different training images",
        ),
        (
            make_dataset((np.arange(40) % 20, np.repeat([0, 1], 20)), (np.arange(90, 99), np.arange(9) % 2)),
            "0",
            None,
            "class '0' of data set 'toy' has no anomaly to validate on",
        ),
        (
            make_dataset((np.arange(40), np.repeat([0, 1], 20)), (np.arange(90, 99), np.zeros(9, int))),
            "0",
            None,
            "class '0' of data set 'toy' has no anomaly to test on",
        ),
        (single_class_dataset(30, (20, 5)), "1", None, "class '1' of data set 'toy' has 0 different training images"),
        (single_class_dataset(1, (20, 5)), "0", None, "has 1 different training images; at least 2"),
        (single_class_dataset(30, (1, 20)), "0", None, "has no normal image to validate on"),
        (single_class_dataset(30, (20, 1, 1)), "0", None, "has no anomaly to validate on"),
        (
            make_dataset((np.arange(10), np.zeros(10, int)), (np.arange(20), np.repeat([0, 1], 10))),
            "0",
            None,
            "has no normal image to validate on; at least 2 different ones are needed among the test images, copies of "
            "training images (10) aside",
        ),
        (distinct_vectors(50, 20), "0", None, "data set 'toy' has no class '0'; one of: normal, anomaly"),
        (
            distinct_vectors(50, 20),
            "anomaly",
            None,
            "class 'anomaly' of data set 'toy' can't be the normal one; one of",
        ),
        (
            distinct_vectors(9, 20),
            "normal",
            None,
            "class 'normal' of data set 'toy' has 9 different normal rows",
        ),
        (distinct_vectors(50, 20), "normal", 9, "of data set 'toy' with limit 9 has 9 different normal rows"),
        (
            distinct_vectors(50, 2),
            "normal",
            None,
            "class 'normal' of data set 'toy' has 2 different anomaly rows",
        ),
        (
            make_vectors(np.concatenate([np.arange(50), np.full(9, 99)]), np.repeat([0, 1], [50, 9]), unique=True),
            "normal",
            None,
            "has 1 different anomaly rows; at least 3 are needed",
        ),
    ],
)
def test_too_few_images_are_named(dataset: Dataset, normal: str, limit: int | None, complaint: str):
    with pytest.raises(UserError) as caught:
        one_vs_rest(dataset, normal, 0, limit)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "usps"])
def test_real_sets_split_exactly(real_datasets: dict[str, Dataset], name: str):
    dataset = real_datasets[name]
    n_train, n_test = (np.bincount(part.labels) for part in (dataset.train, dataset.test))
    for digit in range(10):
        split = one_vs_rest(dataset, str(digit), seed=0)
        assert_follows_the_protocol(dataset, split, digit)
        assert len(split.train.rows) == n_train[digit] * 4 // 5  # no image occurs twice in either set
        assert class_sizes(split.validation) == [(n_train[digit] - n_train[digit] * 4 // 5) // 2] * 10
        assert class_sizes(split.test) == [np.delete(n_test, digit).min()] * 10


@pytest.mark.parametrize("name", ["mnist", "usps"])
def test_real_training_images_ignore_poisoned_rest(real_datasets: dict[str, Dataset], name: str):
    dataset = real_datasets[name]
    random = np.random.default_rng(0)
    for digit in (1, 8):
        own = dataset.train.labels == digit
        train = replace(
            dataset.train, hashes=np.where(own, dataset.train.hashes, random.integers(0, 2**63, len(own), np.uint64))
        )
        test = replace(dataset.test, hashes=random.integers(0, 2**63, len(dataset.test.hashes), np.uint64))
        poisoned = split_rows(replace(dataset, train=train, test=test), str(digit), seed=0)
        clean = split_rows(dataset, str(digit), seed=0)
        np.testing.assert_array_equal(clean.train, poisoned.train)
        assert not np.array_equal(clean.test, poisoned.test)
