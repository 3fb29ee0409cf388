#!/bin/sh
# torch 2.14.1, onnxscript 0.7.2, ONNX Runtime 1.32.0: -(-n // 2), Python's division rounded up, of a size that may vary.
# Guess: the exported graph rounds as PyTorch and torch.export do; "same" padding as TensorFlow's is computed in this way.
# Seen: ONNX's Div stands for it, which rounds towards zero: rows of 7 columns, padded to an even number, have 6, without a
#       word. torch.export's own program is right, and so is the graph where it is written as (n + 1) // 2.
# Printed:  7 columns padded to an even number: PyTorch 8, torch.export 8, ONNX 6
#           written as (n + 1) // 2: ONNX 8
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
"$folder/env/bin/python" - <<'PYTHON'
import io

import onnxruntime
import torch
from torch.nn.functional import pad


class Even(torch.nn.Module):
    def forward(self, rows):
        n = rows.shape[1]
        return pad(rows, (0, 2 * -(-n // 2) - n))


class EvenOtherwise(torch.nn.Module):
    def forward(self, rows):
        n = rows.shape[1]
        return pad(rows, (0, 2 * ((n + 1) // 2) - n))


rows = torch.arange(7.0).reshape(1, 7)
sizes = ({1: torch.export.Dim("n", min=2)},)


def columns_by_onnx(module):
    file = io.BytesIO()
    options = {"input_names": ["rows"], "dynamic_shapes": sizes, "verbose": False}
    torch.onnx.export(module.eval(), (torch.zeros(1, 6),), file, **options)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    return session.run(None, {"rows": rows.numpy()})[0].shape[1]


program = torch.export.export(Even().eval(), (torch.zeros(1, 6),), dynamic_shapes=sizes)
seen = Even()(rows).shape[1], program.module()(rows).shape[1], columns_by_onnx(Even())
print("7 columns padded to an even number: PyTorch {}, torch.export {}, ONNX {}".format(*seen))
otherwise = columns_by_onnx(EvenOtherwise())
print(f"written as (n + 1) // 2: ONNX {otherwise}")
assert seen == (8, 8, 6)
assert otherwise == 8
PYTHON
