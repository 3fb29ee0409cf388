"""Every detector of PyOD that can be named, on easy data: `python -m bench.detectors_survey [NAME ...]`.

Prints the table of docs/detectors.md. `cloud`: 120 normally distributed rows of 8 features, tested on 30 more and on 30
moved by 6 deviations in each feature. `digits`: 60 zeros of scikit-learn's digits, tested on 40 more and on 40 other
digits; some of the 64 pixels are constant in training. `alone`: largest change of a score when a row is scored alone or
among half of the others. Detectors that train for long do so with the few epochs of `QUICK`.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from fanogan_mtl.detectors.pyod_classes import pyod_modules
from fanogan_mtl.detectors.registry import OURS_INSTEAD_OF_PYOD, PYOD, caveats, make_detector, takes
from fanogan_mtl.detectors.third_party.company import TOLERANCE, company_dependence
from fanogan_mtl.detectors.third_party.mended import MENDED
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.evaluation.metrics import auroc

Rows = NDArray[np.float64]

QUICK: dict[str, dict[str, Any]] = {
    "AE1SVM": {"epochs": 5, "kernel_approx_features": 100},
    "ALAD": {"epochs": 20},
    "AnoGAN": {"epochs": 2, "epochs_query": 1},
    "AutoEncoder": {"epoch_num": 5, "verbose": 0},
    "DeepSVDD": {"epochs": 5, "verbose": 0},
    "DIF": {"n_ensemble": 5},
    "LUNAR": {"n_epochs": 10},
    "RGraph": {"verbose": False},
    "VAE": {"epoch_num": 5, "verbose": 0},
}
"""Fewer epochs or members than by default, and less said."""
TOO_SLOW_ON_DIGITS = ("ROD",)
"""It looks at all triples of features."""


def quick_detector(name: str, n_features: int, **params: Any) -> Any:
    """Make a detector of PyOD in a quick setting, with the arguments that it can't do without."""
    required: dict[str, Any] = {}
    if name == "DeepSVDD":
        required["n_features"] = n_features
    if name == "LSCP":
        required["detector_list"] = [make_detector("pyod:LOF", n_neighbors=n) for n in (5, 10, 20)]
    return make_detector(PYOD + name, **{**required, **QUICK.get(name, {}), **params})


def easy_data() -> dict[str, tuple[Rows, Rows, NDArray[np.bool_]]]:
    """Training rows, test rows, and which of these are anomalies, by name."""
    random = np.random.default_rng(0)
    train, normal, far = (random.normal(size=(n, 8)) for n in (120, 30, 30))
    cloud = (train, np.vstack([normal, far + 6 * random.choice([-1, 1], (30, 8))]), np.arange(60) >= 30)
    pixels, labels = load_digits(return_X_y=True)
    zeros, others = pixels[labels == 0] / 16, pixels[labels != 0] / 16
    digits = (zeros[:60], np.vstack([zeros[60:100], others[:40]]), np.arange(80) >= 40)
    return {"cloud": cloud, "digits": digits}


def line(name: str) -> list[str]:
    """What the table says of a detector."""
    aurocs, change = [], 0.0
    for data, (train, test, anomaly) in easy_data().items():
        if data == "digits" and name in TOO_SLOW_ON_DIGITS:
            aurocs.append("too slow")
            continue
        try:
            detector = quick_detector(name, train.shape[1]).fit(train)
            aurocs.append(f"{100 * auroc(anomaly, detector.decision_function(test)):.0f}")
            change = max(change, company_dependence(detector, test))
        except UserError:
            return [f"`{name}`", "", "", "", ", ".join(["needs the package combo", *marks(name)])]
        except ValueError:
            aurocs.append("refused")
    alone = "none" if change <= TOLERANCE else "not possible" if np.isinf(change) else f"{100 * change:.0f} %"
    return [f"`{name}`", *aurocs, alone, state(name)]


def state(name: str) -> str:
    """What was done about a detector."""
    mended = "ours instead" if PYOD + name in OURS_INSTEAD_OF_PYOD else "mended" if name in MENDED else ""
    seeded = "seeded" if takes(PYOD + name, "random_state") else ""
    return ", ".join(filter(None, [*marks(name), mended, seeded])) or "as it is"


def marks(name: str) -> list[str]:
    """What holds against a detector, in bold."""
    return [f"**{mark}**" for mark in caveats(PYOD + name)]


def main(names: list[str]) -> None:
    warnings.filterwarnings("ignore")
    print(f"PyOD {version('pyod')}\n\n| detector | cloud | digits | alone | state |\n|---|---|---|---|---|")
    for name in names or sorted(pyod_modules(), key=str.lower):
        with one_thread(), contextlib.redirect_stdout(io.StringIO()):
            found = line(name)
        print(f"| {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
