#!/bin/sh
# torch 2.14.1 on the CPU: sigmoid and softplus of the same 4,096 float32 values, all at once and a few at a time, on one thread.
# Guess: they work value by value, so a value's bits don't depend on where it stands, nor on what stands beside it.
# Seen: kernels take 16 values at a time with AVX2 and 32 with AVX-512, and what is left at the end is rounded by another formula.
#       So of rows of odd width, batched by 16, the last row's bits change with its place on a processor with AVX-512 alone;
#       exp, tanh and others don't show it.
# Printed:  AVX512: sigmoid: 158 differ by 1, 158 differ by 16, 158 differ by 24, 0 differ by 32
#                   softplus: 606 differ by 1, 606 differ by 16, 602 differ by 24, 0 differ by 32; exp: 0 everywhere
#           AVX2: sigmoid: 158 differ by 1, 0 differ by 16, 43 differ by 24, 0 differ by 32
#                   softplus: 606 differ by 1, 0 differ by 16, 211 differ by 24, 0 differ by 32; exp: 0 everywhere
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet numpy torch==2.14.1
cat > "$folder/places.py" <<'PYTHON'
import torch

torch.set_num_threads(1)
values = 4 * torch.rand(4096, generator=torch.Generator().manual_seed(0)) - 2
seen = {}
for name, function in (("sigmoid", torch.sigmoid), ("softplus", torch.nn.functional.softplus), ("exp", torch.exp)):
    at_once = function(values)
    for together in (1, 16, 24, 32):
        parts = values[: 4096 // together * together].split(together)
        by_parts = torch.cat([function(part.clone()) for part in parts])
        seen[name, together] = int((by_parts != at_once[: len(by_parts)]).sum())
    print(f"{name}: " + ", ".join(f"{seen[name, each]} differ by {each}" for each in (1, 16, 24, 32)))
print(torch.__version__, torch.backends.cpu.get_cpu_capability())
assert seen["sigmoid", 1] and seen["softplus", 1] and seen["sigmoid", 24]
assert not (seen["sigmoid", 32] or seen["softplus", 32])
assert not any(seen["exp", each] for each in (1, 16, 24, 32))
PYTHON
"$folder/env/bin/python" "$folder/places.py"
ATEN_CPU_CAPABILITY=avx2 "$folder/env/bin/python" "$folder/places.py"
