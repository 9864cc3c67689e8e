"""Makes weights/quant/testdata/goldens_mlx.json: what mx.quantize and mx.dequantize of MLX make of our tensors.

The tensors are made by integer arithmetic and exact float operations, so that a Go test makes the same ones; a hash
of each goes along. MLX runs on the CPU: its GPU kernel rounds half away from zero and starts its maximum at 0.
"""

import hashlib
import importlib.metadata
import json
import pathlib
import re

import mlx.core as mx
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parents[2] / "weights" / "quant" / "testdata" / "goldens_mlx.json"
DTYPES = ("float32", "float16", "bfloat16")
BITS = (2, 3, 4, 6, 8)
GROUPS = (32, 64, 128)
# (rows, columns) of each tensor: 1, primes and real shapes by 1 group and more.
SHAPES = [(1, 128), (7, 128), (13, 256), (3, 384), (29, 128), (8, 1536), (5, 640), (17, 256), (64, 128), (2, 1152)] * 2


def versions():
    """The pinned versions, after making sure that they are the ones in use."""
    pinned = dict(re.findall(r"^(\w+)(?:\[\w+\])?==(\S+)$", (HERE / "requirements-mlx.txt").read_text(), re.M))
    for package, want in pinned.items():
        have = importlib.metadata.version(package)
        if have != want:
            raise SystemExit(f"quantize: {package} {have} is installed, want {want}")
    return pinned


def tensor(number, rows, columns):
    """[rows, columns] float32. Every seventh row or so is one that quantisers get wrong."""
    state, mask = number + 1, (1 << 64) - 1

    def uniform():  # in [-1, 1), a multiple of 2^-23
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) & mask
        return np.float32((state >> 40) - (1 << 23)) * np.float32(2.0**-23)

    w = np.empty((rows, columns), np.float32)
    for r in range(rows):
        kind = (r + number) % 7
        for c in range(columns):
            a, b, x = uniform(), uniform(), uniform()
            v = np.float32(a * b) * x  # more often small than large, as weights are
            if kind == 1:
                v = np.float32(0)
            elif kind == 2:
                v = np.float32(abs(v) + np.float32(0.125))
            elif kind == 3:
                v = np.float32(-abs(v) - np.float32(0.125))
            elif kind == 4 and c % 37 == 5:
                v = np.float32(v * np.float32(64))  # outliers
            elif kind == 5:
                v = np.float32(0.0625)  # constant
            w[r, c] = v
    return w


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def raw(array):
    """The bytes of an MLX array, which numpy has no bfloat16 for."""
    if array.dtype == mx.float32 or array.dtype == mx.uint32:
        return np.array(array)
    return np.array(array.view(mx.uint16))


def case(w, dtype, bits, group):
    m = mx.array(w).astype(getattr(mx, dtype))
    codes, scales, biases = mx.quantize(m, group_size=group, bits=bits)
    wide = mx.dequantize(codes, scales.astype(mx.float32), biases.astype(mx.float32), group_size=group, bits=bits)
    return [digest(raw(x)) for x in (codes, scales, biases, wide)]


def main():
    source = versions()
    mx.set_default_device(mx.cpu)
    tensors = []
    for number, (rows, columns) in enumerate(SHAPES):
        w = tensor(number, rows, columns)
        tensors.append(
            {
                "rows": rows,
                "columns": columns,
                "sha256": digest(w),
                "cases": {
                    f"{dtype} {bits} {group}": case(w, dtype, bits, group)
                    for dtype in DTYPES
                    for bits in BITS
                    for group in GROUPS
                },
            }
        )
    lines = ",\n".join(json.dumps(t) for t in tensors)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(f'{{"source": {json.dumps(source)},\n"tensors": [\n{lines}\n]}}\n')
    print(f"{OUT.name}: {OUT.stat().st_size} bytes, {len(tensors)} tensors of {len(tensors[0]['cases'])} cases each")


if __name__ == "__main__":
    main()
