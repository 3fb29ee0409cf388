"""SimCLR: its loss, its views, and that training without labels is worth something. The rest is in `test_features`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import skew
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch import Generator, Tensor

from fanogan_mtl.data.dataset import Dataset
from fanogan_mtl.data.splits import choosing_parts
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors import contrastive, make_extractor, training
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.contrastive import nt_xent, views
from fanogan_mtl.extractors.modules import Network

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (120, 28, 28), dtype=np.uint8)
DOMAINS = (np.arange(120) < 80).astype(int)
SETTINGS = {"batch_size": 32, "device": "cpu"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def test_loss_of_two_images_is_the_one_worked_out_by_hand() -> None:
    """Views of one image are the same, those of the other image at right angles: cos 1 and 0, divided by 0.5."""
    compared = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 5.0]])
    expected = -math.log(math.exp(2) / (math.exp(2) + 2))
    torch.testing.assert_close(nt_xent(compared, 0.5), torch.tensor([expected, expected]))


@pytest.mark.parametrize("number", [1, 2, 7])
def test_loss_is_a_plain_loop_s_in_double_precision(number: int) -> None:
    compared = RANDOM.normal(size=(2 * number, 5))
    unit = compared / np.linalg.norm(compared, axis=1, keepdims=True)
    expected = []
    for image in range(number):
        losses = []
        for view, other in ((image, image + number), (image + number, image)):
            among = sum(math.exp(unit[view] @ unit[each] / 0.2) for each in range(2 * number) if each != view)
            losses.append(-math.log(math.exp(unit[view] @ unit[other] / 0.2) / among))
        expected.append(sum(losses) / 2)
    found = nt_xent(torch.from_numpy(compared), 0.2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_loss_is_least_where_views_agree_and_images_differ() -> None:
    apart = torch.eye(8).repeat(2, 1)
    assert nt_xent(apart).mean() < 0.1 < nt_xent(torch.ones(16, 8)).mean()
    assert nt_xent(torch.ones(16, 8)).mean() == pytest.approx(math.log(15))


@pytest.mark.parametrize("lighting", ["own", "any"])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 28), (1, 65), (3, 16)])
def test_views_are_two_images_for_each_by_the_generator_alone(channels: int, size: int, lighting: str) -> None:
    images = torch.from_numpy(RANDOM.integers(0, 256, (6, channels, size, size), dtype=np.uint8))
    before, state = images.clone(), torch.get_rng_state()
    made, again, others = (views(images, seeded(seed), lighting=lighting) for seed in (0, 0, 1))
    assert made.shape == (12, channels, size, size)
    assert made.dtype == torch.uint8
    assert torch.equal(made, again)
    assert (made != others).float().mean() > 0.5
    assert (made[:6] != made[6:]).float().mean() > 0.5
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_views_of_a_constant_image_are_that_image_lit_otherwise(grey: int) -> None:
    made = views(torch.full((50, 1, 28, 28), grey, dtype=torch.uint8), seeded(0)).float()
    assert (made.mean(dim=(1, 2, 3)) - grey).abs().max() < 255 * (contrastive.BRIGHTNESS + 0.01)
    assert made.std(dim=(1, 2, 3)).max() < 255 * 1.2 * contrastive.NOISE


def test_views_in_any_light_have_any_mean_any_contrast_and_either_polarity() -> None:
    digit = torch.full((400, 1, 28, 28), 40, dtype=torch.uint8)
    digit[:, :, 8:20, 11:17] = 220  # bright on dark, in the middle
    own, lit = (views(digit, seeded(0), lighting=lighting).double().flatten(1).numpy() for lighting in ("own", "any"))
    for spread in (np.mean, np.ptp):
        assert spread(lit, axis=1).std() > 1.3 * spread(own, axis=1).std()
    assert (skew(own, axis=1) > 0).mean() > 0.95  # few bright pixels among many dark ones
    assert 0.35 < (skew(lit, axis=1) > 0).mean() < 0.65


def test_light_is_any_where_training_images_are_negatives_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "train", lambda *args: ([], 1))
    dark = np.full((200, 28, 28), 40, dtype=np.uint8)
    dark[:, 8:20, 11:17] = RANDOM.integers(180, 256, (200, 12, 6))
    for share, expected in ((0.0, "own"), (0.02, "own"), (0.2, "any"), (0.9, "any"), (1.0, "own")):
        negative = RANDOM.permutation(np.arange(200) < 200 * share)
        images = np.where(negative[:, None, None], 255 - dark, dark)
        assert make_extractor("contrastive", **SETTINGS).fit(images).lighting_ == expected
    assert make_extractor("contrastive", lighting="any", **SETTINGS).fit(dark).lighting_ == "any"


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views that are not drawn, but for their rotation and mirroring."""
    for name in ("SCALE", "SHEAR", "SHIFT", "BEND", "CONTRAST", "BRIGHTNESS", "NOISE"):
        monkeypatch.setattr(contrastive, name, 0.0)
    monkeypatch.setattr(contrastive, "ERASED", 100)  # no pixel


@pytest.mark.usefixtures("still")
def test_views_without_any_change_are_the_images() -> None:
    images = torch.from_numpy(IMAGES[:4])[:, None]
    assert torch.equal(views(images, seeded(0), rotation=0.0), images.repeat(2, 1, 1, 1))


@pytest.mark.usefixtures("still")
def test_half_of_the_views_are_mirrored_where_flips_are_wanted() -> None:
    images = torch.from_numpy(IMAGES)[:, None]
    made, plain = views(images, seeded(0), rotation=0.0, flips=True), images.repeat(2, 1, 1, 1)
    mirrored = (made == plain.flip(-1)).flatten(1).all(dim=1)
    assert torch.equal(mirrored, ~(made == plain).flatten(1).all(dim=1))
    assert 0.35 < mirrored.float().mean() < 0.65


@pytest.mark.usefixtures("still")
def test_views_are_turned_as_far_as_rotation_says_and_no_farther() -> None:
    image = torch.zeros(200, 1, 65, 65, dtype=torch.uint8)
    image[:, :, 31:34, 52:61] = 255  # a spot at the right
    made = views(image, seeded(0), rotation=30.0)[:, 0].double()
    across, down = torch.meshgrid(torch.arange(-32, 33), torch.arange(-32, 33), indexing="xy")
    angles = torch.atan2((made * down).sum(dim=(1, 2)), (made * across).sum(dim=(1, 2))).rad2deg()
    assert 27 < angles.max() < 31
    assert -31 < angles.min() < -27


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"image_size": 16}, (16, 16)),
        ({"image_size": 40, "colour": "rgb", "flips": True}, (40, 40, 3)),
        ({"image_size": 150}, (150, 150)),
    ],
)
def test_images_of_any_size_and_colour_give_384_features_of_unit_length(
    settings: dict[str, object], shape: tuple[int, ...]
) -> None:
    images = RANDOM.integers(0, 256, (30, *shape), dtype=np.uint8)
    extractor = make_extractor("contrastive", **settings, **SETTINGS, epochs=1).fit(images)
    features = extractor.transform(images)
    assert features.shape == (30, 384)
    assert extractor.common_scale
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(("size", "by"), [(28, 3), (65, 6)])
def test_features_are_the_mean_over_an_image_and_its_shifts_to_four_corners(
    size: int, by: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", lambda *args: ([], 1))
    images = RANDOM.integers(0, 256, (20, size, size), dtype=np.uint8)
    extractor = make_extractor("contrastive", image_size=size, **SETTINGS).fit(images)
    wider = np.pad(images, ((0, 0), (by, by), (by, by)), mode="edge")
    corners = [(by, by), *product((0, 2 * by), repeat=2)]
    shifted = [torch.from_numpy(wider[:, None, top : top + size, left : left + size]) for top, left in corners]
    with torch.no_grad():
        made = np.mean([Network.features(extractor.network_, each).numpy() for each in shifted], axis=0)
    expected = made / np.linalg.norm(made, axis=1, keepdims=True)
    np.testing.assert_allclose(extractor.transform(images), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("image_size", 8), ("colour", "red"), ("rotation", -1), ("flips", "no"), ("lighting", "dim")],
)
def test_parameter_of_its_own_out_of_range_is_named(parameter: str, value: object) -> None:
    with pytest.raises(UserError, match=f"^extractor contrastive: The '{parameter}' parameter"):
        make_extractor("contrastive", **{parameter: value})


def test_training_stopped_inside_an_epoch_ends_as_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views are drawn again as they would have been."""

    def fit(checkpoints: Path | None) -> Extractor:
        return make_extractor("contrastive", epochs=3, **SETTINGS).fit(IMAGES, None, DOMAINS, checkpoints)

    undisturbed, steps = fit(None), 0
    evaluate = contrastive._contrast

    def stopping(*batch: object) -> tuple[Tensor, Tensor]:
        nonlocal steps
        steps += 1
        if steps == 8:  # the second epoch's
            raise RuntimeError
        return evaluate(*batch)

    with monkeypatch.context() as patch:
        patch.setattr(contrastive, "_contrast", stopping)
        with pytest.raises(RuntimeError):
            fit(tmp_path)
    assert (tmp_path / "last.ckpt").exists()
    resumed = fit(tmp_path)
    assert resumed.history_ == undisturbed.history_
    for key, value in undisturbed.network_.state_dict().items():
        assert torch.equal(resumed.network_.state_dict()[key], value), key


@pytest.mark.parametrize(
    ("given", "number", "expected"),
    [
        ({"lighting": "own"}, 120, 300),  # 96 to train on, in three batches
        ({"lighting": "own"}, 1800, 20),
        ({"lighting": "any"}, 120, 600),
        ({"epochs": 3}, 120, 3),
    ],
)
def test_few_images_have_as_many_epochs_as_make_900_batches_or_twice_as_many_in_any_light(
    given: dict[str, Any], number: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[training.Settings] = []
    monkeypatch.setattr(training, "train", lambda *args: (asked.append(args[3]), ([], 1))[1])
    images = RANDOM.integers(0, 256, (number, 28, 28), dtype=np.uint8)
    make_extractor("contrastive", **given, **SETTINGS).fit(images)
    assert [(each.epochs, each.patience) for each in asked] == [(expected, None)]


def test_views_differ_in_every_batch_and_epoch_and_are_the_same_for_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[bool, list[int]] = {True: [], False: []}
    make = training._Training._measure

    def spied(module: training._Training, part: str, batch: training.Batch, stream: str) -> Tensor:
        draw = module.objective.views
        assert draw is not None

        def noted(images: Tensor, random: Generator) -> Tensor:
            drawn[part == "train"].append(random.initial_seed())
            return draw(images, random)

        object.__setattr__(module.objective, "views", noted)
        try:
            return make(module, part, batch, stream)
        finally:
            object.__setattr__(module.objective, "views", draw)

    monkeypatch.setattr(training._Training, "_measure", spied)
    make_extractor("contrastive", epochs=2, **SETTINGS).fit(IMAGES, None, DOMAINS)
    assert len(drawn[True]) == len(set(drawn[True])) > 4
    assert len(drawn[False]) == 2
    assert drawn[False][0] == drawn[False][1]
    assert drawn[False][0] not in drawn[True]


def test_training_tells_digits_apart_without_labels_and_shuffled_pixels_do_not_let_it(
    real_digits: dict[str, Dataset],
) -> None:
    digits = real_digits["optdigits"]
    order = np.random.default_rng(1).permutation(28 * 28)

    def auroc(shuffled: bool, trained: bool) -> float:
        def seen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return pixels.reshape(len(pixels), -1)[:, order].reshape(-1, 28, 28) if shuffled else np.asarray(pixels)

        with pytest.MonkeyPatch.context() as patch:
            if not trained:
                patch.setattr(training, "train", lambda *args: ([], 0))
            settings = {"epochs": 4, "batch_size": 64, "device": "cpu"}
            extractor = make_extractor("contrastive", **settings).fit(seen(digits.train.pixels))
        found = []
        for name in "19":  # those that random weights tell worst
            train, validation = choosing_parts(digits, name, seed=0)
            rows, others = (extractor.transform(seen(part.pixels)) for part in (train, validation))
            distances, _ = NearestNeighbors(n_neighbors=5).fit(rows).kneighbors(others)
            found.append(float(roc_auc_score(validation.anomaly, distances[:, -1])))
        return float(np.mean(found))

    trained, untrained, shuffled = auroc(False, True), auroc(False, False), auroc(True, True)
    assert trained > 0.95
    assert trained > untrained + 0.02
    assert trained > shuffled + 0.03
