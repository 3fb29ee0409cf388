#!/bin/sh
# skops 0.16.0, scikit-learn 1.9.1, torch 2.14.1: what `import skops.io` brings.
# Guess: scikit-learn and NumPy, which it reads and writes; PyTorch is none of its dependencies.
# Seen: where PyTorch is installed it is imported: skops asks scikit-learn for all of its estimators, for which every
#       package of scikit-learn is imported, and the one of the array API imports PyTorch. A process that only reads a saved
#       scikit-learn model has it in memory. Without PyTorch the same import is quiet.
# Printed:  scikit-learn alone: torch imported False; skops.io: True, 785 modules of it
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet skops==0.16.0 scikit-learn==1.9.1 torch==2.14.1
"$folder/env/bin/python" - <<'PYTHON'
import sys

import sklearn.decomposition
import sklearn.ensemble
import sklearn.neighbors

before = "torch" in sys.modules
import skops.io

after = "torch" in sys.modules
number = sum(name.startswith("torch.") for name in sys.modules)
print(f"scikit-learn alone: torch imported {before}; skops.io: {after}, {number} modules of it")
assert (before, after) == (False, True)
PYTHON
