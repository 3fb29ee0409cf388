"""What every registered extractor holds to; a new one is tested from the day it is registered."""

from __future__ import annotations

import copy
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quick_extractors import DOMAINS, LABELS, NAMES, SHRINKING, TRAINED, images_for, quick
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from torch import nn
from torchvision.models import resnet18

from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.joint import stratified_split
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors import REGISTRY, make_extractor, training
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.persistence import save_extractor
from fanogan_mtl.extractors.registry import default_parameters, extractor_class, registered_name
from fanogan_mtl.extractors.resnet import _LastConv2d

Fitted = Callable[[str], Extractor]
LABEL_FREE = [name for name in NAMES if not extractor_class(name).uses_labels]
CLASSIFIERS = [name for name in TRAINED if name not in LABEL_FREE]

every = pytest.mark.parametrize("name", NAMES)
every_label_free = pytest.mark.parametrize("name", LABEL_FREE)
every_shrinking = pytest.mark.parametrize("name", SHRINKING)
every_classifier = pytest.mark.parametrize("name", CLASSIFIERS)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def fitted(weights_file: Path) -> Fitted:
    """Return a function that gives the fitted extractor of a name, made once; tests only read it."""
    made: dict[str, Extractor] = {}

    def fit(name: str) -> Extractor:
        if name not in made:
            made[name] = quick(name, weights_file).fit(images_for(name), LABELS, DOMAINS)
        return made[name]

    return fit


def new_images(name: str) -> np.ndarray:
    return images_for(name, 70, seed=1)


@every
def test_features_are_finite_float32_one_row_an_image(name: str, fitted: Fitted) -> None:
    extractor = fitted(name)
    features = extractor.transform(new_images(name))
    assert features.shape == (70, extractor.n_features_out_)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    at_rest = name == "efficientnet_lite0_finetuned"  # behind a ReLU6 most of random weights are
    assert (features.std(axis=0) > 0).mean() > (0.1 if at_rest else 0.5)
    assert extractor.transform(new_images(name)[:0]).shape == (0, extractor.n_features_out_)


@every
def test_features_are_the_same_bits_alone_permuted_and_in_other_batches(name: str, fitted: Fitted) -> None:
    images, transform = new_images(name), fitted(name).transform
    features, order = transform(images), np.random.default_rng(2).permutation(70)
    np.testing.assert_array_equal(
        np.concatenate([transform(images[[row]]) for row in (0, 63, 69)]), features[[0, 63, 69]]
    )
    np.testing.assert_array_equal(transform(images[order]), features[order])
    np.testing.assert_array_equal(transform(images[60:]), features[60:])


def test_features_are_the_same_bits_in_another_process_after_saving(fitted: Fitted, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).mkdir()
        save_extractor(fitted(name), tmp_path / name)
        np.save(tmp_path / name / "images.npy", new_images(name)[:7])
    code = """
import sys, numpy as np
from pathlib import Path
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.extractors.persistence import load_extractor
with one_thread():
    for folder in Path(sys.argv[1]).iterdir():
        features = load_extractor(folder, "cpu").transform(np.load(folder / "images.npy"))
        np.save(folder / "features.npy", features)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], env=os.environ, check=True, timeout=800)
    for name in NAMES:
        features = np.load(tmp_path / name / "features.npy")
        np.testing.assert_array_equal(features, fitted(name).transform(new_images(name)[:7]), err_msg=name)


@every
def test_same_seed_gives_the_same_bits_and_leaves_images_and_global_random_state_alone(
    name: str, fitted: Fitted, weights_file: Path
) -> None:
    images = images_for(name).copy()  # `fitted` took read-only ones
    fitted(name)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    again = quick(name, weights_file).fit(images, LABELS, DOMAINS)
    features = again.transform(new_images(name))
    assert random.getstate() == before[0]
    np.testing.assert_equal(np.random.get_state(legacy=False), before[1])
    assert torch.equal(torch.get_rng_state(), before[2])
    np.testing.assert_array_equal(images, images_for(name))
    np.testing.assert_array_equal(features, fitted(name).transform(new_images(name)))


def without_components(extractor: Extractor) -> Extractor:
    """The same extractor, whose features are not brought to principal components."""
    plain = copy.deepcopy(extractor)
    plain.network_.projection = nn.Identity()
    plain.graph_ = None  # which has them
    return plain


@every_shrinking
def test_components_are_so_many_in_decreasing_variance_and_another_seed_gives_other_features(
    name: str, fitted: Fitted, weights_file: Path
) -> None:
    images = images_for(name)
    extractor = quick(name, weights_file, n_components=4, random_state=1).fit(images, LABELS)
    features, full = extractor.transform(images), without_components(extractor).transform(images)
    assert features.shape == (36, extractor.n_features_out_) == (36, 4)
    labels = np.unique(LABELS, return_inverse=True)[1] if extractor.uses_labels else np.zeros(36, np.int64)
    training, _ = stratified_split(content_hashes(images), labels, np.zeros(36, np.int64), seed=1)
    variances = features[training].var(axis=0, ddof=1)
    assert (np.diff(variances) < 0).all()
    projection = extractor.network_.projection
    np.testing.assert_allclose(projection.explained_variance, variances, rtol=1e-3)
    np.testing.assert_allclose(projection.total_variance, full[training].var(axis=0, ddof=1).sum(), rtol=1e-3)
    others = without_components(fitted(name)).transform(images)
    assert (full != others).any() == (name in TRAINED or REGISTRY[name].weights_of is None)


@pytest.mark.parametrize("name", ["autoencoder", "contrastive", "lenet5", "lenet5_3x3", "resnet18_untrained"])
def test_the_seed_draws_the_weights_that_training_starts_from(
    name: str, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", lambda *args: ([], 1))
    drawn = []
    for seed in (0, 0, 1):
        network = quick(name, weights_file, random_state=seed).fit(images_for(name), LABELS).network_
        drawn.append(torch.cat([weights.flatten() for weights in network.backbone.parameters()]))
    assert torch.equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).float().mean() > 0.9  # norms start alike


@pytest.mark.parametrize("name", ["lenet5", "pca", "resnet18_untrained"])
def test_more_components_than_images_or_features_are_refused(name: str, weights_file: Path) -> None:
    with pytest.raises(ValueError, match="n_components=55 is more than"):
        quick(name, weights_file, n_components=55).fit(images_for(name), LABELS)


@every
def test_the_registry_says_of_an_extractor_what_holds(name: str) -> None:
    kind = REGISTRY[name]
    assert ("class labels" in kind.sees) == extractor_class(name).uses_labels
    assert (kind.weights_of is not None) == ("weights" in default_parameters(name))


@every
def test_parameters_are_stored_cloned_and_set(name: str, weights_file: Path) -> None:
    extractor = quick(name, weights_file, random_state=3)
    copied = clone(extractor)
    assert copied.get_params() == extractor.get_params()
    assert set(extractor.get_params()) == set(default_parameters(name))
    assert make_extractor(name).get_params() == default_parameters(name)
    assert registered_name(copied) == name
    copied.set_params(random_state=4)
    assert (copied.random_state, extractor.random_state) == (4, 3)
    with pytest.raises(ValueError, match="no_such"):
        copied.set_params(no_such=1)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        (name, parameter, value)
        for name in NAMES
        for parameter, value in (("random_state", -1), ("n_components", 0), ("device", "tpu"), ("random_state", 0.5))
        if parameter in default_parameters(name)
    ],
)
def test_parameter_out_of_range_is_named(name: str, parameter: str, value: Any, weights_file: Path) -> None:
    with pytest.raises(UserError, match=f"^extractor {name}: The '{parameter}' parameter") as caught:
        quick(name, weights_file, **{parameter: value})
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=parameter):
        quick(name, weights_file).set_params(**{parameter: value}).fit(images_for(name), LABELS)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize(
    ("parameter", "value"),
    [("epochs", 0), ("batch_size", 1), ("learning_rate", 0), ("weight_decay", -1), ("patience", 0)],
)
def test_training_parameter_out_of_range_is_named(name: str, parameter: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"^extractor {name}: The '{parameter}' parameter"):
        make_extractor(name, **{parameter: value})


def test_unknown_extractor_and_unknown_parameter_are_named_with_what_there_is() -> None:
    with pytest.raises(UserError, match="unknown extractor 'vgg'; one of: autoencoder, contrastive, efficient"):
        make_extractor("vgg")
    with pytest.raises(UserError, match="unknown parameter 'depth' of extractor lenet5; one of: batch_size"):
        make_extractor("lenet5", depth=3)


@every
def test_read_only_images_are_transformed_as_others_and_left_as_they_are(name: str, fitted: Fitted) -> None:
    read_only = new_images(name)
    writeable, before = read_only.copy(), read_only.tobytes()
    assert not read_only.flags.writeable
    np.testing.assert_array_equal(fitted(name).transform(writeable), fitted(name).transform(read_only))
    assert read_only.tobytes() == writeable.tobytes() == before


@every
def test_other_images_are_refused(name: str, weights_file: Path, fitted: Fitted) -> None:
    images = images_for(name)
    one, unfitted = images[0], quick(name, weights_file)
    wanted = re.escape(f"(n, {', '.join(map(str, images.shape[1:]))})")
    for wrong in (images / np.float32(255), images.astype(np.int64), images[:, 1:], images[..., None], one, 5, None):
        for refuse in (fitted(name).transform, lambda wrong: unfitted.fit(wrong, LABELS)):
            with pytest.raises(ValueError, match=f"takes uint8 images {wanted}, not "):
                refuse(wrong)
    with pytest.raises(ValueError, match="fit needs at least one"):
        unfitted.fit(images[:0], LABELS[:0])


@every
def test_labels_and_domains_of_another_length_are_refused(name: str, weights_file: Path) -> None:
    images, extractor = images_for(name), quick(name, weights_file)
    for wrong in (LABELS[1:], LABELS[:, None], "a"):
        with pytest.raises(ValueError, match=r"^y has shape .* for 36 images"):
            extractor.fit(images, wrong)
        with pytest.raises(ValueError, match=r"^domain has shape .* for 36 images"):
            extractor.fit(images, LABELS, wrong)


@every_classifier
def test_labels_are_needed_where_they_are_learned_from(name: str, weights_file: Path) -> None:
    with pytest.raises(ValueError, match="learns from labels: fit needs y"):
        quick(name, weights_file).fit(images_for(name))


@every_label_free
def test_label_free_extractors_ignore_the_labels(name: str, weights_file: Path) -> None:
    images = images_for(name)
    few = {"n_components": 3} if name in SHRINKING else {}
    features = [
        quick(name, weights_file, **few).fit(images, y, DOMAINS).transform(new_images(name))
        for y in (LABELS, np.random.default_rng(3).permutation(LABELS), None)
    ]
    np.testing.assert_array_equal(features[1], features[0])
    np.testing.assert_array_equal(features[2], features[0])


def test_only_these_learn_from_labels() -> None:
    others = ["lenet5", "lenet5_3x3", "resnet18", "resnet18_imagenet", "resnet50"]
    assert ["efficientnet_lite0_finetuned", *others] == CLASSIFIERS


@every_classifier
def test_predictions_are_classes_by_the_same_features(name: str, fitted: Fitted) -> None:
    extractor, images = fitted(name), new_images(name)
    predicted = extractor.predict(images)
    assert predicted.shape == (70,)
    assert set(predicted) <= {"a", "b", "c"}
    with torch.inference_mode():
        outputs = extractor.network_.head(torch.from_numpy(extractor.transform(images)))
    np.testing.assert_array_equal(predicted, np.array(["a", "b", "c"])[outputs.argmax(dim=1)])


@every
def test_no_prediction_without_a_classifier_and_nothing_before_fitting(
    name: str, fitted: Fitted, weights_file: Path
) -> None:
    assert fitted(name).classifies == (name in CLASSIFIERS)
    if name not in CLASSIFIERS:
        with pytest.raises(ValueError, match="has no classifier"):
            fitted(name).predict(new_images(name))
    for method in ("transform", "predict"):
        with pytest.raises(NotFittedError):
            getattr(quick(name, weights_file), method)(new_images(name))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("autoencoder", 128),
        ("efficientnet_lite0", 112),
        ("efficientnet_lite0_finetuned", 1280),
        ("frozen", 256),
        ("lenet5", 144),
        ("lenet5_3x3", 2048),
        ("resnet18", 512),
        ("resnet18_frozen", 512),
        ("resnet18_imagenet", 512),
        ("resnet18_untrained", 512),
        ("resnet50", 2048),
    ],
)
def test_features_are_as_many_as_in_the_study(name: str, number: int, fitted: Fitted) -> None:
    assert fitted(name).n_features_out_ == number


def test_pca_gives_the_150_components_of_the_study() -> None:
    extractor = make_extractor("pca").fit(images_for("pca", 200))
    assert extractor.n_features_out_ == 150
    assert extractor.transform(new_images("pca")).shape == (70, 150)


def test_frozen_takes_the_study_s_originals() -> None:
    spec = make_extractor("resnet18_frozen").input_spec
    assert (spec.shape, spec.original) == ((224, 224, 3), True)


def test_pca_is_scikit_learn_s_up_to_sign_on_the_same_images() -> None:
    random = np.random.default_rng(4)
    faint = random.normal(0, 1, (300, 20)) * np.linspace(40, 5, 20) @ random.normal(0, 1, (20, 784)) / 4
    images = (128 + faint).clip(0, 255).astype(np.uint8).reshape(300, 28, 28)
    ours = make_extractor("pca", n_components=12, device="cpu").fit(images)
    training, _ = stratified_split(content_hashes(images), np.zeros(300, np.int64), np.zeros(300, np.int64), seed=0)
    pixels = images.reshape(300, -1) / 255
    pixels = (pixels - pixels[training].mean()) / pixels[training].std()
    expected = PCA(12, svd_solver="full").fit(pixels[training])
    projected, features = expected.transform(pixels), ours.transform(images)
    signs = np.sign((projected * features).sum(axis=0))
    np.testing.assert_allclose(features * signs, projected, atol=1e-3)
    np.testing.assert_allclose(ours.network_.projection.explained_variance, expected.explained_variance_, rtol=1e-4)


def test_components_are_learned_from_every_domain_as_often() -> None:
    images = images_for("pca", 400).copy()
    images[:320] //= 4  # the large domain is dark
    domains = (np.arange(400) < 320).astype(int)
    extractor = make_extractor("pca", n_components=2, device="cpu").fit(images, domain=domains)
    pixels = extractor.network_.normalisation(torch.from_numpy(images)[:, None])[:, 0]
    means = torch.stack([pixels[domains == domain].mean(dim=0).mean() for domain in (0, 1)])
    assert float(extractor.network_.projection.mean.mean()) == pytest.approx(float(means.mean()), abs=0.02)


def test_untrained_resnet_has_its_random_weights_and_frozen_those_of_the_file(
    fitted: Fitted, weights_file: Path
) -> None:
    network = resnet18()
    network.load_state_dict(torch.load(weights_file, weights_only=True))
    network.fc = nn.Identity()
    images = new_images("resnet18_frozen")
    shifted = torch.from_numpy(images.copy()).permute(0, 3, 1, 2) / 255
    shifted = shifted - torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    shifted = shifted / torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    with torch.inference_mode():
        expected = network.eval()(shifted)
    np.testing.assert_allclose(fitted("resnet18_frozen").transform(images), expected, rtol=1e-3, atol=1e-4)
    untrained = fitted("resnet18_untrained").network_.backbone.state_dict()
    assert (untrained["bn1.running_mean"] == 0).all()
    assert untrained["layer1.0.conv1.weight"].std() > 0.01


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_last_stages_convolution_is_torchs_own(size: int, stride: int) -> None:
    torch.manual_seed(0)
    own, theirs = (nn.Conv2d(6, 5, 3, stride=stride, padding=1, bias=False) for _ in range(2))
    own.load_state_dict(theirs.state_dict())
    own.__class__ = _LastConv2d
    images = torch.randn(4, 6, size, size)
    results = []
    for convolution in (own, theirs):
        convolution(images).square().sum().backward()
        results.append((convolution(images), convolution.weight.grad))
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(mine, reference)


def test_the_last_stage_has_it(fitted: Fitted) -> None:
    last = fitted("resnet18_untrained").network_.backbone.layer4
    assert sum(isinstance(module, _LastConv2d) for module in last.modules()) == 4
