"""Extractor, scaler and detector as one detector."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from fanogan_mtl.detectors import make_detector
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.hybrid import MOST_AT_ONCE, Hybrid, fitted_scaler, load_hybrid, save_hybrid, scaled

Images = NDArray[np.uint8]
DETECTORS = {"fanogan": {"epochs": 2}, "knn": {}, "vae": {"epochs": 2}}


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(0).integers(0, 256, (90, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def extractor(images: Images) -> Extractor:
    return make_extractor("lenet5", epochs=1).fit(images, np.arange(90) % 3)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_detector_sees_features_standardised_on_the_training_rows(
    name: str, images: Images, extractor: Extractor
) -> None:
    hybrid = Hybrid(make_detector(name, **DETECTORS[name]), extractor).fit(images[:60])
    features = extractor.transform(images)
    scaler = StandardScaler().fit(features[:60])
    by_hand = make_detector(name, **DETECTORS[name]).fit(scaler.transform(features[:60]))
    np.testing.assert_array_equal(
        hybrid.decision_function(images), by_hand.decision_function(scaler.transform(features))
    )
    on_features = Hybrid(make_detector(name, **DETECTORS[name])).fit(features[:60])
    np.testing.assert_array_equal(on_features.decision_function(features), hybrid.decision_function(images))


@pytest.mark.parametrize("name", DETECTORS)
def test_it_keeps_pyods_contract(name: str, images: Images, extractor: Extractor) -> None:
    hybrid = Hybrid(make_detector(name, **DETECTORS[name]), extractor).fit(images[:60])
    scores = hybrid.decision_function(images)
    assert scores.shape == (90,)
    assert hybrid.decision_scores_.shape == hybrid.labels_.shape == (60,)
    np.testing.assert_array_equal(hybrid.predict(images), (scores > hybrid.threshold_).astype(int))
    probabilities = hybrid.predict_proba(images)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert hybrid.predict_confidence(images).shape == (90,)
    assert hybrid.contamination == 0.1


def test_stages_and_terms_are_there_where_the_detector_has_them(images: Images, extractor: Extractor) -> None:
    deep, shallow = Hybrid(make_detector("fanogan"), extractor), Hybrid(make_detector("knn"), extractor)
    assert not hasattr(shallow, "fit_staged")
    assert not hasattr(shallow, "decision_terms")
    for budget in deep.fit_staged(images[:60], [1, 2]):
        once = Hybrid(make_detector("fanogan", epochs=budget), extractor).fit(images[:60])
        np.testing.assert_array_equal(once.decision_function(images), deep.decision_function(images))
        assert once.threshold_ == deep.threshold_
    np.testing.assert_array_equal(deep.decision_terms(images)[deep.score], deep.decision_function(images))


def test_it_scores_the_same_bits_in_another_process(images: Images, extractor: Extractor, tmp_path: Path) -> None:
    hybrid = Hybrid(make_detector("fanogan", epochs=2), extractor).fit(images[:60])
    save_hybrid(hybrid, tmp_path / "hybrid")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, numpy as np; from pathlib import Path; from fanogan_mtl.hybrid import load_hybrid;"
        "folder = Path(sys.argv[1]); hybrid = load_hybrid(folder / 'hybrid');"
        "scores = hybrid.decision_function(np.load(folder / 'images.npy'));"
        "np.save(folder / 'scores.npy', np.append(scores, hybrid.threshold_))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=800)
    expected = np.append(hybrid.decision_function(images), hybrid.threshold_)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), expected)
    assert load_hybrid(tmp_path / "hybrid").labels_.shape == (60,)


def test_principal_components_keep_their_scale_to_each_other(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features = (random.normal(size=(80, 3)) * [10, 1, 0.1] + 5).astype(np.float32)
    hybrid = Hybrid(make_detector("knn"), common_scale=True).fit(features[:60])
    centred = features - features[:60].mean(axis=0)
    expected = make_detector("knn").fit(centred[:60]).decision_function(centred)
    scores = hybrid.decision_function(features)
    np.testing.assert_allclose(scores, expected / np.sqrt(features[:60].var(axis=0).mean()), rtol=1e-4)
    save_hybrid(hybrid, tmp_path / "hybrid")
    np.testing.assert_array_equal(load_hybrid(tmp_path / "hybrid").decision_function(features), scores)


def test_constant_features_stay_finite(images: Images) -> None:
    features = np.zeros((40, 5), np.float32)
    features[:, 0] = np.arange(40)
    scores = Hybrid(make_detector("knn")).fit(features).decision_function(features + 1)
    assert np.isfinite(scores).all()


def test_very_many_features_are_scaled_as_few_are() -> None:
    features = np.random.default_rng(0).normal(3, 2, (20, MOST_AT_ONCE + 5)).astype(np.float32)
    features[:, 7] = 1  # constant
    found, expected = fitted_scaler(features), StandardScaler().fit(features)
    for name in ("mean_", "scale_", "var_"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)
    np.testing.assert_allclose(found.transform(features), expected.transform(features), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("common_scale", [False, True])
def test_features_are_scaled_to_the_bit_as_scikit_learn_does(common_scale: bool) -> None:
    random = np.random.default_rng(0)
    features = (random.normal(size=(50, 7)) * [1, 1e-20, 0, 1e6, 3, 1e20, 0.1] + 5).astype(np.float32)
    hybrid = Hybrid(make_detector("knn"), common_scale=common_scale).fit(features)
    np.testing.assert_array_equal(scaled(hybrid.scaler_, features), hybrid.scaler_.transform(features))
    with pytest.raises(ValueError, match=r"X has 6 features, the hybrid was fitted with 7"):
        hybrid.decision_function(features[:, :6])
