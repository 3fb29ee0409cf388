#!/usr/bin/env bash
# One would guess: LODA scores a value by the density of the histogram bin that it falls into, and a value beyond all
# bins as one in an empty bin.
# It does: every value but the smallest is looked up one bin too high (the last two bins share the last one's density),
# and a value beyond all bins gets the density of the outermost bin, so that far outliers can score below normal rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyod==3.6.7 numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pyod.models.loda import LODA

print("PyOD", version("pyod"))
# 1 zero, 2 ones, ... 10 nines: bin k of the ten holds k + 1 of the 55 values
values = np.repeat(np.arange(10.0), np.arange(1, 11))[:, None]
detector = LODA(n_bins=10, n_random_cuts=1, random_state=0).fit(values)
upwards = detector.projections_[0, 0] > 0
looked_up = np.rint(55 * np.exp(-detector.decision_function(np.arange(10.0)[:, None]))).astype(int)
print("rows in each value's own bin:     ", list(range(1, 11)))
print("rows in the bin that it is scored by:", looked_up.tolist(), "" if upwards else "(the projection is reversed)")
expected = [1, *range(3, 11), 10] if upwards else [1, 1, *range(2, 9), 10]

random = np.random.default_rng(0)
train, normal = random.normal(size=(5, 8)), random.normal(size=(30, 8))
far = 1000 * random.choice([-1.0, 1.0], (30, 8))
detector = LODA(random_state=0).fit(train)
scores = detector.decision_function(normal), detector.decision_function(far)
print(f"5 training rows: scores of normal rows {scores[0].min():.3f} to {scores[0].max():.3f}, of rows 1,000 deviations away {scores[1].min():.3f} to {scores[1].max():.3f}")
unchanged = looked_up.tolist() == expected and scores[1].max() < scores[0].mean()
print("as found" if unchanged else "the behaviour has changed")
sys.exit(not unchanged)
PYTHON
