"""What extractors may learn from, and how it is parted and drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from toy_datasets import balanced_dataset, make_images

from fanogan_mtl.data.dataset import Dataset, Images
from fanogan_mtl.data.draws import limited_rows
from fanogan_mtl.data.joint import JointSampler, hashes_tested, learnable_rows, rows_digest, stratified_split
from fanogan_mtl.data.splits import held_out_rows, one_vs_rest, split_rows
from fanogan_mtl.errors import UserError

Integers = NDArray[np.int64]


@st.composite
def crowded_images(draw: st.DrawFn) -> tuple[NDArray[np.uint64], Integers, Integers]:
    """Draw hashes, labels and domains of images that are copied within and across classes and domains."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    number, n_contents = draw(st.integers(1, 200)), draw(st.sampled_from([3, 30, 300]))
    all_hashes = random.integers(0, 2**63, n_contents, np.uint64)
    labels, domains = (random.integers(0, draw(st.integers(1, 4)), number) for _ in range(2))
    return all_hashes[random.integers(0, n_contents, number)], labels, domains


class TestStratifiedSplit:
    @given(crowded_images(), st.integers(0, 5))
    def test_every_image_is_on_one_side_and_none_is_on_both(
        self, images: tuple[NDArray[np.uint64], Integers, Integers], seed: int
    ) -> None:
        hashes = images[0]
        training, validation = stratified_split(*images, seed)
        assert sorted([*training, *validation]) == list(range(len(hashes)))
        assert (np.diff(training) > 0).all()
        assert (np.diff(validation) > 0).all()
        assert not set(hashes[training]) & set(hashes[validation])

    @given(st.lists(st.integers(0, 60), min_size=1, max_size=9), st.integers(1, 3), st.integers(0, 5))
    def test_validation_is_a_fifth_of_the_different_images_of_every_class_of_every_domain(
        self, sizes: list[int], copies: int, seed: int
    ) -> None:
        groups = np.repeat(np.arange(len(sizes)), sizes)
        random = np.random.default_rng(seed)
        hashes = random.permutation(2**20)[: len(groups)].astype(np.uint64)
        order = random.permutation(np.repeat(np.arange(len(groups)), copies))
        labels, domains = groups // 3, groups % 3
        _, validation = stratified_split(hashes[order], labels[order], domains[order], seed)
        counts = np.bincount(groups[order][validation], minlength=len(sizes))
        assert counts.tolist() == [copies * (size // 5) for size in sizes]

    @given(crowded_images(), st.integers(0, 5), st.randoms(use_true_random=False))
    def test_sides_depend_on_content_not_on_the_order(
        self, images: tuple[NDArray[np.uint64], Integers, Integers], seed: int, random: object
    ) -> None:
        hashes = images[0]
        order = np.arange(len(hashes))
        random.shuffle(order)  # type: ignore[attr-defined]
        expected = set(hashes[stratified_split(*images, seed)[1]])
        found = hashes[order][stratified_split(*(values[order] for values in images), seed)[1]]
        assert set(found) == expected

    def test_seeds_draw_differently(self) -> None:
        zeros = np.zeros(100, np.int64)
        hashes = np.arange(100, dtype=np.uint64)
        drawn = {stratified_split(hashes, zeros, zeros, seed)[1].tobytes() for seed in (0, 0, 1, 2)}
        assert len(drawn) == 3


@st.composite
def uneven_samplers(draw: st.DrawFn) -> tuple[JointSampler, Integers, Integers]:
    """Draw samplers of at least two images, some domains without some classes."""
    numbers = draw(st.lists(st.integers(0, 12), min_size=1, max_size=9))
    groups = np.random.default_rng(draw(st.integers(0, 99))).permutation(np.repeat(np.arange(len(numbers)), numbers))
    assume(len(groups) > 1)
    labels, domains = groups // 3, groups % 3
    sampler = JointSampler(labels, domains, draw(st.integers(2, 9)), seed=draw(st.integers(0, 9)))
    sampler.set_epoch(draw(st.integers(0, 3)))
    return sampler, labels, domains


class TestJointSampler:
    @given(uneven_samplers())
    def test_every_domain_has_per_class_as_many_images_as_the_largest(
        self, drawn: tuple[JointSampler, Integers, Integers]
    ) -> None:
        sampler, labels, domains = drawn
        rows = sampler.rows()
        assert len(rows) == sampler.n_images
        assert ((rows >= 0) & (rows < len(labels))).all()
        for label in np.unique(labels):
            sizes = np.bincount(domains[labels == label])
            counts = np.bincount(domains[rows[labels[rows] == label]], minlength=len(sizes))
            assert counts.tolist() == [sizes.max() if size else 0 for size in sizes]
            for domain in np.flatnonzero(sizes == sizes.max()):
                own = np.flatnonzero((labels == label) & (domains == domain))
                assert sorted(rows[np.isin(rows, own)]) == own.tolist(), "the largest domain's, each once"

    @given(uneven_samplers())
    def test_batches_are_the_epoch_s_positions_in_order_and_none_has_one_image(
        self, drawn: tuple[JointSampler, Integers, Integers]
    ) -> None:
        sampler, _, _ = drawn
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert all(len(batch) == sampler.batch_size for batch in batches[:-1])
        assert 2 <= len(batches[-1]) <= sampler.batch_size
        joined, rows = np.concatenate(batches), sampler.rows()
        assert joined.tolist() == rows[: len(joined)].tolist()
        assert len(rows) - len(joined) == (len(rows) % sampler.batch_size == 1)

    def test_seed_and_epoch_decide_the_batches(self) -> None:
        labels, domains = np.arange(90) % 3, (np.arange(90) < 60).astype(int)

        def epoch(seed: int, number: int) -> bytes:
            sampler = JointSampler(labels, domains, 16, seed)
            sampler.set_epoch(number)
            return np.concatenate(list(sampler)).tobytes()

        assert epoch(0, 2) == epoch(0, 2)
        assert len({epoch(seed, number) for seed in (0, 1, 2) for number in (0, 1, 2)}) == 9
        sampler = JointSampler(labels, domains, 16, 0)
        assert sampler.rows().tolist() == sampler.rows().tolist()
        sampler.set_epoch(2)
        assert np.concatenate(list(sampler)).tobytes() == epoch(0, 2)

    def test_epochs_draw_other_images_of_the_smaller_domain(self) -> None:
        labels, domains = np.zeros(120, np.int64), (np.arange(120) < 100).astype(int)
        sampler = JointSampler(labels, domains, 16, 0)
        drawn = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            rows = sampler.rows()
            drawn.append(np.bincount(rows[rows >= 100] - 100, minlength=20))
        assert drawn[0].sum() == drawn[1].sum() == 100
        assert drawn[0].tolist() != drawn[1].tolist()

    def test_classes_and_domains_are_mixed_in_a_batch(self) -> None:
        labels = np.repeat(np.arange(4), 64)
        domains = np.tile(np.repeat([0, 1], 32), 4)
        for batch in JointSampler(labels, domains, 64, 0):
            assert len(set(zip(labels[batch], domains[batch], strict=True))) == 8


def pooled(*members: Dataset) -> Dataset:
    """All members as the domains of one data set."""

    def together(part: str) -> Images:
        images = [getattr(member, part) for member in members]
        domains = np.repeat(np.arange(len(members)), [len(each.labels) for each in images])
        pixels, labels, hashes, sizes = (
            np.concatenate([getattr(each, name) for each in images]) for name in ("pixels", "labels", "hashes", "sizes")
        )
        return Images(pixels, labels, domains, hashes, sizes)

    domains = tuple("abc"[: len(members)])
    return Dataset("pool", "1" * 64, members[0].classes, domains, together("train"), together("test"))


@st.composite
def crowded_pools(draw: st.DrawFn) -> tuple[Dataset, list[Dataset]]:
    """Draw a pool and its two members, whose images are copied across classes, parts and domains."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_contents = draw(st.sampled_from([100, 300, 3000]))

    def images() -> Images:
        number = draw(st.integers(60, 150))
        classes = random.permutation(np.arange(number) % 3)
        return make_images(random.integers(0, n_contents, number), classes, np.zeros(number, int))

    members = [Dataset(name, "0" * 64, ("0", "1", "2"), (name,), images(), images()) for name in "ab"]
    return pooled(*members), members


def hashes_of(dataset: Dataset, rows: Integers) -> set[int]:
    return set(np.concatenate([dataset.train.hashes, dataset.test.hashes])[rows].tolist())


class TestLearnableRows:
    @given(
        crowded_pools(),
        st.integers(0, 5),
        st.sampled_from([None, 10, 30]),
        st.sampled_from([None, "0", "2"]),
        st.booleans(),
    )
    def test_nothing_is_learned_that_any_test_of_any_class_of_any_data_set_draws(
        self, drawn: tuple[Dataset, list[Dataset]], seed: int, limit: int | None, held_out: str | None, one_domain: bool
    ) -> None:
        pool, members = drawn
        source = members[0] if one_domain else pool
        tested = [*members, pool]
        try:
            rows = learnable_rows(source, tested, seed, limit, held_out)
        except UserError:
            return
        assert (np.diff(rows) > 0).all()
        learned = hashes_of(source, rows)
        assert rows.max() < len(source.train.labels)
        for dataset in tested:
            for normal, anomalous in [(a, b) for a in pool.classes for b in (None, *pool.classes) if a != b]:
                try:
                    test = split_rows(dataset, normal, seed, limit, anomalous).test
                except UserError:
                    continue
                assert not learned & hashes_of(dataset, test)
        if held_out is not None:
            assert source.classes.index(held_out) not in source.train.labels[rows]
        if limit is not None:
            assert set(rows) <= set(limited_rows(source, limit))

    @pytest.mark.parametrize(("limit", "per_class"), [(None, 45), (30, 27)])
    def test_all_else_is_learned(self, limit: int | None, per_class: int) -> None:
        dataset = balanced_dataset(50, 20)
        drawn = set()
        for seed in range(4):
            rows = learnable_rows(dataset, [dataset], seed, limit)
            assert np.bincount(dataset.train.labels[rows]).tolist() == [per_class] * 10
            held_out = [held_out_rows(dataset, name, seed, limit) for name in dataset.classes]
            everything = np.arange(500) if limit is None else limited_rows(dataset, limit)
            assert sorted([*rows, *np.concatenate(held_out)]) == everything[everything < 500].tolist()
            drawn.add(rows.tobytes())
        assert len(drawn) == 4
        untested = learnable_rows(dataset, [], 0, limit)
        assert len(untested) == 500 if limit is None else 300

    def test_each_tested_data_set_has_its_own_tests_kept_out(self) -> None:
        members = [balanced_dataset(50, 20), balanced_dataset(50, 20)]
        shifted = make_images(np.arange(5000, 5500), members[1].train.labels, np.zeros(500, int))
        members[1] = replace(members[1], train=shifted)
        pool = pooled(*members)
        numbers = [len(learnable_rows(pool, tested, 0)) for tested in ([], members[:1], members, [*members, pool])]
        assert numbers[:3] == [1000, 950, 900]
        assert numbers[3] < 900  # the pool's split draws others than its members'

    def test_held_out_class_leaves_all_images_of_the_others(self) -> None:
        dataset = balanced_dataset(50, 20)
        everything, without = learnable_rows(dataset, [dataset], 1), learnable_rows(dataset, [dataset], 1, None, "3")
        assert without.tolist() == everything[dataset.train.labels[everything] != 3].tolist()

    def test_only_class_leaves_its_own_images(self) -> None:
        dataset = balanced_dataset(50, 20)
        everything = learnable_rows(dataset, [dataset], 1)
        alone = learnable_rows(dataset, [dataset], 1, only_class="3", takes_labels=False)
        assert alone.tolist() == everything[dataset.train.labels[everything] == 3].tolist()
        with pytest.raises(UserError, match=r"^data set 'toy' has no class 'three'"):
            learnable_rows(dataset, [dataset], 1, only_class="three", takes_labels=False)

    def test_copies_of_test_images_are_kept_out_whatever_their_class(self) -> None:
        dataset = balanced_dataset(50, 20)
        leaking = dataset.train.hashes.copy()
        leaking[:30] = dataset.test.hashes[170:200]  # of class 8 and 9 among the training images of class 0
        dataset = replace(dataset, train=replace(dataset.train, hashes=leaking))
        rows = learnable_rows(dataset, [dataset], 0)
        assert not set(rows) & set(range(30))

    def test_tested_hashes_are_the_test_images_and_those_held_out_of_training(self) -> None:
        dataset = balanced_dataset(50, 20)
        hashes = hashes_tested(dataset, 3, None)
        assert len(hashes) == 200 + 10 * 5
        assert set(dataset.test.hashes) <= set(hashes)

    @pytest.mark.parametrize("name", ["10", "", "three"])
    def test_unknown_class_to_hold_out_is_named(self, name: str) -> None:
        dataset = balanced_dataset(50, 20, n_classes=3)
        with pytest.raises(UserError, match=f"^data set 'toy' has no class '{name}'; one of: 0, 1, 2$"):
            learnable_rows(dataset, [dataset], 0, None, name)

    def test_too_little_to_learn_from_is_an_error(self) -> None:
        small, two = balanced_dataset(3, 5, n_classes=3), balanced_dataset(50, 20, n_classes=2)
        assert len(learnable_rows(two, [two], 0)) == 90
        for dataset, limit, held_out, left in ((small, None, None, 6), (two, None, "1", 45), (two, 4, None, 6)):
            with pytest.raises(UserError, match=rf"^'toy' leaves {left} images to learn features from"):
                learnable_rows(dataset, [dataset], 0, limit, held_out)

    def test_one_class_is_enough_without_labels(self) -> None:
        two = balanced_dataset(50, 20, n_classes=2)
        assert len(learnable_rows(two, [two], 0, None, "1", takes_labels=False)) == 45
        with pytest.raises(UserError, match="leaves 3 images"):
            learnable_rows(two, [two], 0, 4, "1", takes_labels=False)


def test_digest_tells_content_class_domain_and_names_apart() -> None:
    dataset = balanced_dataset(50, 20, n_domains=2)
    rows = np.arange(300)
    train = dataset.train
    others = [
        replace(dataset, classes=tuple("abcdefghij")),
        *(
            replace(dataset, train=replace(train, **{name: np.roll(getattr(train, name), 1)}))
            for name in ("hashes", "labels", "domains")
        ),
    ]
    digests = {rows_digest(each, rows) for each in [dataset, *others]} | {rows_digest(dataset, rows[1:])}
    assert len(digests) == 6
    assert all(len(digest) == 32 for digest in digests)
    beyond = replace(train, hashes=np.where(np.arange(500) < 300, train.hashes, 0).astype(np.uint64))
    assert rows_digest(replace(dataset, train=beyond), rows) == rows_digest(dataset, rows)


class TestPairs:
    @given(crowded_pools(), st.integers(0, 5), st.sampled_from([None, 15, 40]))
    def test_normal_images_are_tested_from_the_held_out_ones_and_the_test_images_alone(
        self, drawn: tuple[Dataset, list[Dataset]], seed: int, limit: int | None
    ) -> None:
        for dataset in (drawn[0], drawn[1][0]):
            n_train = len(dataset.train.labels)
            labels = np.concatenate([dataset.train.labels, dataset.test.labels])
            for normal, anomalous in (("0", "1"), ("0", "2"), ("2", "0")):
                try:
                    rows = split_rows(dataset, normal, seed, limit, anomalous)
                except UserError:
                    continue
                own, other = int(normal), int(anomalous)
                for part in (rows.validation, rows.test):
                    counts = np.bincount(labels[part], minlength=3)
                    assert counts[own] == counts[other] == len(part) / 2 > 0
                assert set(labels[rows.train]) == {own}
                assert (rows.test[labels[rows.test] == other] >= n_train).all()
                from_training = rows.test[rows.test < n_train]
                assert set(from_training) <= set(held_out_rows(dataset, normal, seed, limit))
                parts = [hashes_of(dataset, part) for part in vars(rows).values()]
                assert not parts[0] & parts[1]
                assert not parts[2] & (parts[0] | parts[1])

    def test_training_is_the_same_whatever_counts_as_anomalous(self) -> None:
        dataset = balanced_dataset(50, 20)
        against = [one_vs_rest(dataset, "3", 0, None, anomalous) for anomalous in (None, "4", "5")]
        assert [split.train.rows.tolist() for split in against] == [against[0].train.rows.tolist()] * 3
        for split, number in zip(against, (10, 2, 2), strict=True):
            assert len(np.unique(split.test.labels)) == number
            assert split.test.anomaly.tolist() == (split.test.labels != 3).tolist()
        assert len(against[1].test.rows) == 40

    def test_normal_images_of_a_pair_are_drawn_from_both_sources(self) -> None:
        dataset = balanced_dataset(500, 25, n_classes=3)  # 50 held out and 25 test images, of which 25 are drawn
        from_training = [int((split_rows(dataset, "0", seed, None, "1").test < 1500).sum()) for seed in range(20)]
        assert 12 < np.mean(from_training) < 22

    @given(st.integers(0, 99), st.sampled_from([None, 20]))
    def test_held_out_rows_are_a_tenth_of_the_class_and_never_trained_or_validated_on(
        self, seed: int, limit: int | None
    ) -> None:
        dataset = balanced_dataset(50, 20, n_classes=3)
        held_out = set(held_out_rows(dataset, "1", seed, limit))
        assert len(held_out) == (5 if limit is None else 2)
        for anomalous in (None, "0"):
            rows = split_rows(dataset, "1", seed, limit, anomalous)
            assert not held_out & {*rows.train, *rows.validation}

    @pytest.mark.parametrize(("normal", "anomalous"), [("0", "x"), ("x", "0"), ("0", "")])
    def test_unknown_class_is_named(self, normal: str, anomalous: str) -> None:
        unknown = normal if normal == "x" else anomalous
        with pytest.raises(UserError, match=f"^data set 'toy' has no class '{unknown}'; one of: 0, 1, 2$"):
            one_vs_rest(balanced_dataset(50, 20, n_classes=3), normal, 0, None, anomalous)

    def test_a_class_is_no_anomaly_to_itself(self) -> None:
        with pytest.raises(UserError, match="no anomaly"):
            one_vs_rest(balanced_dataset(50, 20, n_classes=3), "0", 0, None, "0")
