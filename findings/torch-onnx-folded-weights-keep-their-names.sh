#!/bin/sh
# torch 2.14.1, onnxscript 0.7.2: a batch norm after a convolution, exported by torch.onnx.export as it comes.
# Guess: an initializer that has the name of a weight of the module has its value; so another network of that architecture can
#        be put into the graph, or weights be compared, by name.
# Seen: the norm is folded into the convolution, whose initializers keep the module's names with other values. With
#       optimize=False all weights are there as they are; the graph is slower until onnxscript's optimizer has run on it.
# Printed:  as it comes: 0.bias 0.weight; 0.weight is 0.5 times the module's
#           optimize=False: 0.bias 0.weight 1.bias 1.running_mean 1.running_var 1.weight; 0.weight is 1.0 times the module's
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2
"$folder/env/bin/python" - <<'PYTHON'
import io

import onnx
import torch

module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)).eval()
module[1].running_var.fill_(4.0)  # a deviation of 2


def seen(**options):
    file = io.BytesIO()
    torch.onnx.export(module, (torch.zeros(1, 1, 8, 8),), file, verbose=False, **options)
    initializers = onnx.load_from_string(file.getvalue()).graph.initializer
    values = {each.name: torch.from_numpy(onnx.numpy_helper.to_array(each).copy()) for each in initializers}
    factor = (values["0.weight"] / module.state_dict()["0.weight"]).median().item()
    return " ".join(sorted(values)), round(factor, 4)


by_default, as_it_is = seen(), seen(optimize=False)
print("as it comes: {}; 0.weight is {} times the module's".format(*by_default))
print("optimize=False: {}; 0.weight is {} times the module's".format(*as_it_is))
assert by_default == ("0.bias 0.weight", 0.5)
assert as_it_is == ("0.bias 0.weight 1.bias 1.running_mean 1.running_var 1.weight", 1.0)
PYTHON
