#!/usr/bin/env bash
# PyOD's PCA detector: one would guess that a score by principal components does not change when the table is mirrored
# (all features times -1), for the components are the same lines. It does: the score is the sum of distances of a row to
# the tips of the unit vectors of the components, and a line's unit vector points either way. Which way is scikit-learn's
# choice, and it chose otherwise from version 1.5 on: published figures of this detector change with that version (of
# ADBench's table Wilt AUROC 20 before and 40 after; the other 19 tables of 1,000 to 12,000 rows by up to 2).
# Here the AUROC of one table and of its mirror image, by the same code, differ. Exits non-zero once they agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "numpy==2.2.6" "scipy==1.15.3" "scikit-learn==1.7.2" \
    "matplotlib==3.10.3" "joblib==1.5.1" "numba==0.61.2"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps "pyod==3.6.7"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pyod.models.pca import PCA
from sklearn.metrics import roc_auc_score

random = np.random.default_rng(0)
normal = random.normal(0, 1, (1000, 3)) + random.normal(0, 1, (1000, 1)) * [1, 1, 0]
anomalies = random.normal(0, 0.3, (60, 3)) + [1.5, -1.5, 0]
train, test = normal[:600], np.concatenate([normal[600:], anomalies])
truth = np.repeat([0, 1], [400, 60])
auroc = [roc_auc_score(truth, PCA().fit(sign * train).decision_function(sign * test)) for sign in (1, -1)]
print(f"pyod {version('pyod')}, scikit-learn {version('scikit-learn')}")
print(f"AUROC {auroc[0]:.3f} as it is, {auroc[1]:.3f} mirrored")
sys.exit(abs(auroc[0] - auroc[1]) < 0.05)
PYTHON
