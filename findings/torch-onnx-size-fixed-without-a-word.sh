#!/bin/sh
# torch 2.14.1, onnxscript 0.7.2: torch.onnx.export with dynamic_shapes={0: Dim("n")} of a module that splits a batch by `chunk`.
# Guess: it raises, as torch.export.export does for the same module and shapes: "Constraints violated (n)". Or the graph's
#        batch varies, as was asked for.
# Seen: neither. Other ways of tracing are tried after the first, and one that takes the example's batch of 2 for granted
#       ends in a graph whose input has 2 rows, without an error or a warning. Exporting what torch.export.export gives
#       raises; the same module written with slices up to `rows.shape[0]` is exported as asked.
# Printed:  torch.export: refused; torch.onnx.export: input [2, 3], 0 warnings
#           with slices: input ['n', 3]
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
"$folder/env/bin/python" - <<'PYTHON'
import warnings

import onnxruntime
import torch


class ByChunk(torch.nn.Module):
    def forward(self, rows):
        first, second = torch.cat([rows, 2 * rows]).chunk(2)
        return second - first


class BySlices(torch.nn.Module):
    def forward(self, rows):
        both = torch.cat([rows, 2 * rows])
        return both[rows.shape[0] :] - both[: rows.shape[0]]


sizes = ({0: torch.export.Dim("n")},)
example = (torch.zeros(2, 3),)


def exported_shape(module):
    program = torch.onnx.export(module.eval(), example, dynamic_shapes=sizes, verbose=False)
    content = program.model_proto.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).get_inputs()[0].shape


try:
    torch.export.export(ByChunk().eval(), example, dynamic_shapes=sizes)
    refused = "taken"
except Exception:
    refused = "refused"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    shape = exported_shape(ByChunk())
told = sum(issubclass(each.category, UserWarning) for each in caught)
print(f"torch.export: {refused}; torch.onnx.export: input {shape}, {told} warnings")
slices = exported_shape(BySlices())
print(f"with slices: input {slices}")
assert (refused, shape, told) == ("refused", [2, 3], 0)
assert slices == ["n", 3]
PYTHON
