import json
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skops.io.exceptions import UntrustedTypesFoundException
from torch import nn

from fanogan_mtl.detectors import make_detector, persistence
from fanogan_mtl.detectors.deep import DeepDetector, Preprocessing
from fanogan_mtl.detectors.persistence import UnsavableDetector, load_detector, save_detector
from fanogan_mtl.detectors.registry import REGISTRY, detector_class
from fanogan_mtl.errors import UserError

ROWS = np.random.default_rng(0).random((40, 8))
NEW_ROWS = np.random.default_rng(1).random((7, 8))
DEEP = ["dagmm", "deep_svdd", "fanogan", "vae"]
OTHERS = [
    "pca",
    "knn",
    "iforest",
    "ocsvm",
    "lof",
    "ecod",
    "mahalanobis",
    "padim",
    "patchcore",
    "pyod:COPOD",
    "pyod:GMM",
    "pyod:KDE",
    "pyod:KPCA",
    "pyod:MCD",
]


class Tiny(DeepDetector):
    """Distance to a moved weight; keeps a tuple and a list, which JSON could confuse."""

    def __init__(self, epochs=3, widths=(4, 2), slopes=None, device="cpu", random_state=0, contamination=0.1):
        self.epochs = epochs
        self.widths = widths
        self.slopes = slopes
        self.device = device
        self.random_state = random_state
        self.contamination = contamination

    _constraints = {}  # noqa: RUF012

    def _build(self, n_features):
        network = nn.Linear(n_features, 1)
        network.preprocessing = Preprocessing("standard")
        network.register_buffer("pair", torch.zeros(2, 3).T)
        return network

    def _train(self, rows, budgets):
        for budget in budgets:
            self.network_.weight.data += budget * rows.mean(dim=0)
            yield budget

    def _score(self, rows):
        return (rows - self.network_.weight).square().mean(dim=1)


@pytest.fixture
def tiny(monkeypatch):
    """`Tiny`, registered as a detector of the package."""
    module = types.ModuleType("fanogan_mtl.detectors.tiny")
    module.Tiny = Tiny
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Tiny, "__module__", module.__name__)
    monkeypatch.setitem(REGISTRY, "tiny", "tiny:Tiny")


def make_fitted(name):
    return make_detector(name, **({"epochs": 1} if name in DEEP else {})).fit(ROWS)


def test_every_detector_scores_the_same_bits_in_another_process(tmp_path):
    names = DEEP + OTHERS
    expected = {}
    for number, name in enumerate(names):
        detector = make_fitted(name)
        save_detector(detector, tmp_path / str(number))
        expected[str(number)] = [
            values.tobytes().hex()
            for values in (detector.decision_function(NEW_ROWS), detector.predict_proba(NEW_ROWS))
        ] + [detector.threshold_, detector.n_features_in_, repr(detector.get_params()), detector.labels_.tolist()]
    code = """
import json, sys, numpy as np
from pathlib import Path
from fanogan_mtl.detectors.persistence import load_detector
rows = np.random.default_rng(1).random((7, 8))
found = {}
for folder in Path(sys.argv[1]).iterdir():
    detector = load_detector(folder)
    found[folder.name] = [
        values.tobytes().hex() for values in (detector.decision_function(rows), detector.predict_proba(rows))
    ] + [detector.threshold_, detector.n_features_in_, repr(detector.get_params()), detector.labels_.tolist()]
print(json.dumps(found))
"""
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert {names[int(number)]: value for number, value in found.items()} == {
        names[int(number)]: value for number, value in expected.items()
    }


@pytest.mark.usefixtures("tiny")
class TestDeepDetector:
    def test_comes_back_with_all_that_fit_learned(self, tmp_path):
        detector = Tiny(widths=(4, 2), slopes=[0.1, 0.2], random_state=np.int64(3)).fit(ROWS)
        save_detector(detector, tmp_path / "saved")
        loaded = load_detector(tmp_path / "saved")
        assert loaded.get_params() == detector.get_params()
        assert isinstance(loaded.widths, tuple)
        assert loaded.epochs_ == 3
        for attribute in ("decision_scores_", "threshold_", "labels_", "n_features_in_"):
            np.testing.assert_array_equal(getattr(loaded, attribute), getattr(detector, attribute))
        for attribute in ("decision_function", "predict", "predict_proba", "predict_confidence"):
            np.testing.assert_array_equal(getattr(loaded, attribute)(NEW_ROWS), getattr(detector, attribute)(NEW_ROWS))
        assert not loaded.network_.training

    def test_loading_leaves_the_global_random_state_alone(self, tmp_path):
        save_detector(Tiny().fit(ROWS), tmp_path / "saved")
        before = torch.get_rng_state()
        load_detector(tmp_path / "saved")
        assert torch.equal(torch.get_rng_state(), before)

    def test_trained_on_cuda_loads_where_there_is_none(self, tmp_path, monkeypatch):
        save_detector(Tiny().fit(ROWS).set_params(device="cuda"), tmp_path / "saved")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        loaded = load_detector(tmp_path / "saved")
        assert loaded.device == "cpu"
        assert loaded.decision_function(NEW_ROWS).shape == (7,)

    def test_parameter_that_json_has_no_form_for_is_named(self, tmp_path):
        with pytest.raises(UnsavableDetector, match="of type complex"):
            save_detector(Tiny(slopes=1j).fit(ROWS), tmp_path / "saved")
        assert not list(tmp_path.iterdir())


LEARN_ARRAYS = [name for name in REGISTRY if getattr(detector_class(name), "learned", ())]


class TestDetectorThatLearnsArrays:
    @pytest.mark.parametrize("n_features", [4, 36])  # KNN: with a tree of its rows, and without
    @pytest.mark.parametrize("name", LEARN_ARRAYS)
    def test_comes_back_with_all_that_fit_learned(self, tmp_path, name, n_features):
        rows = np.random.default_rng(0).random((50, n_features)) ** 2
        detector = make_detector(name, contamination=0.2).fit(rows[:40])
        save_detector(detector, tmp_path / "saved")
        loaded = load_detector(tmp_path / "saved")
        assert vars(loaded).keys() == vars(detector).keys()
        for attribute, value in vars(detector).items():
            if attribute not in ("neigh_", "tree_"):
                again = getattr(loaded, attribute)
                np.testing.assert_array_equal(again, value, strict=isinstance(value, np.ndarray))
                assert np.asarray(again).flags.c_contiguous == np.asarray(value).flags.c_contiguous
        assert loaded.decision_function(rows).tobytes() == detector.decision_function(rows).tobytes()

    def test_fitted_again_it_has_forgotten(self, tmp_path):
        save_detector(make_fitted("knn"), tmp_path / "saved")
        loaded, rows = load_detector(tmp_path / "saved"), NEW_ROWS[:, :3]
        np.testing.assert_array_equal(
            loaded.fit(rows).decision_function(rows), make_detector("knn").fit(rows).decision_function(rows)
        )

    @pytest.mark.parametrize("name", LEARN_ARRAYS)
    def test_one_that_an_earlier_version_saved_by_skops_is_read(self, tmp_path, monkeypatch, name):
        detector = make_fitted(name)
        with monkeypatch.context() as earlier:
            earlier.setattr(type(detector), "learned", ())
            save_detector(detector, tmp_path / "saved")
        assert (tmp_path / "saved" / "detector.skops").exists()
        loaded = load_detector(tmp_path / "saved")
        assert loaded.decision_function(NEW_ROWS).tobytes() == detector.decision_function(NEW_ROWS).tobytes()

    def test_is_read_without_skops(self, tmp_path):
        for name in LEARN_ARRAYS:
            save_detector(make_fitted(name), tmp_path / name)
        code = """
import sys
from pathlib import Path
from fanogan_mtl.detectors.persistence import load_detector
for folder in Path(sys.argv[1]).iterdir():
    load_detector(folder)
print([name for name in ("skops", "torch") if name in sys.modules])
"""
        run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
        assert run.stdout == "[]\n"


def test_nothing_saved_is_a_pickle(tmp_path):
    for name in ("vae", "pca", "iforest"):
        save_detector(make_fitted(name), tmp_path / name)
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"detector.json", "weights.safetensors", "detector.npz", "detector.skops"}
    with np.load(tmp_path / "pca" / "detector.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"mean_", "components_", "decision_scores_"}
    with zipfile.ZipFile(tmp_path / "iforest" / "detector.skops") as archive:
        assert {name.rpartition(".")[2] for name in archive.namelist()} == {"json", "npy"}


def test_pyods_torch_models_are_refused_by_name(tmp_path):
    detector = make_detector("pyod:AutoEncoder", epoch_num=1, verbose=0).fit(ROWS)
    with pytest.raises(UnsavableDetector, match=r"^detector pyod:AutoEncoder can't be saved without pickle"):
        save_detector(detector, tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_type_outside_the_list_is_refused_when_saved_and_when_loaded(tmp_path, monkeypatch):
    detector = make_fitted("iforest")
    save_detector(detector, tmp_path / "saved")
    monkeypatch.setattr(persistence, "TRUSTED_TYPES", ())
    with pytest.raises(UnsavableDetector, match=r"it holds sklearn\.tree\._tree\.Tree$"):
        save_detector(detector, tmp_path / "other")
    with pytest.raises(UntrustedTypesFoundException, match="Tree"):
        load_detector(tmp_path / "saved")


def test_detector_outside_the_registry_is_refused(tmp_path):
    with pytest.raises(UnsavableDetector, match=r"^Tiny can't be saved: it isn't in the registry"):
        save_detector(Tiny().fit(ROWS), tmp_path / "saved")


def test_detector_that_keeps_its_state_in_neither_known_way_is_refused(tmp_path, monkeypatch):
    detector = types.SimpleNamespace(decision_scores_=np.zeros(3), fit=lambda rows: None)
    monkeypatch.setattr(persistence, "registered_name", lambda cls: "pca")
    monkeypatch.setattr(persistence, "check_is_fitted", lambda *_: None)
    with pytest.raises(UnsavableDetector, match="neither a CheckedDetector nor a DeepDetector"):
        save_detector(detector, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_unfitted_detector_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        save_detector(make_detector("pca"), tmp_path / "saved")


def test_earlier_detector_is_replaced_whole_and_other_files_are_kept(tmp_path):
    folder = tmp_path / "saved"
    save_detector(make_fitted("vae"), folder)
    save_detector(make_fitted("pca"), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["detector.json", "detector.npz"]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        save_detector(make_fitted("pca"), tmp_path / "home")
    assert (tmp_path / "home" / "letter.txt").read_text() == "mine"


def test_failure_while_writing_leaves_the_earlier_detector(tmp_path, monkeypatch):
    save_detector(make_fitted("pca"), tmp_path / "saved")

    def full_disk(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_detector(make_fitted("knn"), tmp_path / "saved")
    assert type(load_detector(tmp_path / "saved")).__name__ == "PCA"
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (None, r"holds no saved detector \(detector.json is missing\)"),
        ({"format": 2}, "has format 2, this version reads 1"),
        ({"format": 1, "detector": "os:system"}, "unknown detector 'os:system'"),
    ],
)
def test_folder_that_is_no_saved_detector_is_one_clear_line(tmp_path, description, message):
    if description is not None:
        (tmp_path / "detector.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=message):
        load_detector(tmp_path)
