#!/bin/sh
# torchvision 0.29.1 with torch 2.14.1: a deep copy of what create_feature_extractor makes of a network in evaluation mode.
# Guess: the copy gives the same maps, in the order that was asked for.
# Seen: the copy is in training mode, all of its parts too, so that batch norm takes the batch's own mean and variance:
#       maps differ by several units, without a word. And the maps come in the network's order, not in the one asked for.
# Printed:  original in training mode: False, its copy: True
#           the copy's maps differ: True
#           asked for layer2, layer1; given layer1, layer2
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.14.1 torchvision==0.29.1
"$folder/env/bin/python" - <<'PYTHON'
import copy

import torch
from torchvision.models import resnet18
from torchvision.models.feature_extraction import create_feature_extractor

torch.manual_seed(0)
network = create_feature_extractor(resnet18().eval(), ["layer2", "layer1"])
copied = copy.deepcopy(network)
images = torch.rand(2, 3, 64, 64)
with torch.inference_mode():
    differ = not torch.allclose(network(images)["layer1"], copied(images)["layer1"], atol=0.1)
print(f"original in training mode: {network.training}, its copy: {copied.training}")
print(f"the copy's maps differ: {differ}")
print(f"asked for layer2, layer1; given {', '.join(network(images))}")
assert (network.training, copied.training, differ) == (False, True, True)
assert list(network(images)) == ["layer1", "layer2"]
PYTHON
