import pickle
import subprocess
import sys

import numpy as np
import pytest
from pyod.models.base import BaseDetector
from sklearn.base import clone

from fanogan_mtl.detectors import REGISTRY, make_detector, registry
from fanogan_mtl.errors import UserError

ROWS = np.random.default_rng(0).random((40, 5))


@pytest.mark.parametrize("name", [*REGISTRY, "pyod:GMM", "pyod:ECOD", "pyod:COPOD"])
def test_every_name_makes_a_pyod_detector_that_clones(name):
    detector = make_detector(name)
    assert isinstance(detector, BaseDetector)
    assert clone(detector).get_params() == detector.get_params() == registry.default_parameters(name)
    assert registry.registered_name(type(detector)) in {name, name.removeprefix("pyod:").lower()}


def test_registry_imports_neither_torch_nor_mlflow():
    code = (
        "import sys, fanogan_mtl.detectors; sys.exit(bool({'torch', 'mlflow', 'sklearn', 'pyod'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["foo", "pyod:Foo", "pyod:BaseDetector", "pyod:", "pyod:sys"])
def test_unknown_detector_is_named_beside_the_known_ones(name):
    with pytest.raises(UserError, match=f"^unknown detector '{name}'; .*(dagmm, .*vae, or pyod:ClassName|ABOD, .*GMM)"):
        make_detector(name)


def test_unknown_parameter_is_named_beside_the_known_ones():
    with pytest.raises(
        UserError, match=r"^unknown parameter 'neighbours' of knn; one of: contamination, method, n_neigh"
    ):
        make_detector("knn", neighbours=3)


def test_required_parameter_is_named():
    with pytest.raises(UserError, match="pyod:DeepSVDD needs the parameter 'n_features'"):
        make_detector("pyod:DeepSVDD")


@pytest.mark.parametrize("params", [{}, {"detector_list": ["KNN", "LOF"]}, {"detector_list": 5}])
def test_what_takes_detector_objects_is_for_python_only(params):
    with pytest.raises(UserError, match=r"^detector pyod:LSCP takes a list of detector objects, 'detector_list': "):
        registry.check_parameters("pyod:LSCP", params)
    members = [make_detector("knn"), make_detector("lof")]
    assert make_detector("pyod:LSCP", detector_list=members).detector_list == members


def test_missing_dependency_of_pyod_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "combo", None)
    with pytest.raises(UserError, match=r"pyod:SUOD can't be imported: .*combo"):
        make_detector("pyod:SUOD")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("pca", {"n_components": 0}),
        ("knn", {"n_neighbors": "five"}),
        ("knn", {"method": "least"}),
        ("iforest", {"n_estimators": -1}),
        ("iforest", {"random_state": -1}),
        ("ocsvm", {"nu": 2.0}),
        ("lof", {"n_neighbors": 1.5}),
        ("ecod", {"contamination": 0.7}),
        ("pyod:GMM", {"contamination": float("nan")}),
    ],
)
def test_value_out_of_range_is_one_line_that_names_it(name, params):
    with pytest.raises(UserError) as caught:
        registry.check_parameters(name, params)
    message = str(caught.value)
    assert next(iter(params)) in message
    assert name in message
    assert "\n" not in message


def test_default_parameters_pass_their_own_check():
    for name in REGISTRY:
        registry.check_parameters(name, registry.default_parameters(name))


def test_takes_tells_what_the_sweep_may_set():
    assert registry.takes("iforest", "random_state")
    assert not registry.takes("knn", "random_state")
    assert not registry.takes("pca", "device")
    assert registry.takes("pyod:VAE", "device")


def test_named_settings_are_what_the_module_calls_so(monkeypatch):
    from fanogan_mtl.detectors import shallow

    assert registry.named_settings("pca") == {}
    monkeypatch.setattr(shallow, "TUNED", {"n_components": 7}, raising=False)
    assert registry.named_settings("pca") == {"tuned": {"n_components": 7}}
    assert set(registry.named_settings("fanogan")) == {"tuned", "features"}
    assert registry.named_settings("fanogan")["features"]["latent_dim"] == 128


def test_pyods_transductive_classes_are_replaced_by_ours():
    assert make_detector("pyod:ECOD").__class__ is make_detector("ecod").__class__
    assert make_detector("pyod:COPOD").__module__ == "fanogan_mtl.detectors.shallow"


class TestAnyPyODClass:
    def test_scores_as_pyods_own(self):
        from pyod.models.gmm import GMM

        ours, theirs = make_detector("pyod:GMM", random_state=1).fit(ROWS), GMM(random_state=1).fit(ROWS)
        np.testing.assert_array_equal(ours.decision_function(ROWS), theirs.decision_function(ROWS))

    def test_is_found_by_name_when_unpickled(self):
        fitted = make_detector("pyod:HBOS").fit(ROWS)
        restored = pickle.loads(pickle.dumps(fitted))
        assert type(restored) is type(fitted)
        np.testing.assert_array_equal(restored.decision_function(ROWS), fitted.decision_function(ROWS))

    def test_its_own_failure_is_one_clear_value_error(self):
        with pytest.raises(ValueError, match=r"^COF fails on rows of shape \(1, 5\): IndexError"):
            make_detector("pyod:COF").fit(ROWS).decision_function(ROWS[:1])

    def test_its_own_failure_names_the_parameters_that_were_given(self):
        with pytest.raises(ValueError, match=r"TypeError: .*'NoneType' and 'int' \(with n_neighbors=None\)$"):
            make_detector("pyod:KNN", n_neighbors=None, metric="minkowski").fit(ROWS)
        with pytest.raises(UserError, match=r"^detector pyod:LODA: .* \(with n_random_cuts='a'\)$"):
            make_detector("pyod:LODA", n_random_cuts="a", random_state=1)

    def test_scores_that_are_not_finite_are_refused(self):
        with pytest.raises(ValueError, match=r"^ABOD: 40 of 40 scores came out as NaN or infinity"):
            make_detector("pyod:ABOD").fit(np.ones_like(ROWS))

    def test_auto_device_leaves_the_choice_to_pyod(self):
        assert str(make_detector("pyod:VAE", device="auto").device) in {"cpu", "cuda:0", "cuda"}
