"""Makes what the Go tests compare conversions with, by MLX's own functions:

  weights/convert/testdata/goldens_builtin.json  hashes of the embedded model, quantised in each way that there is
  engine/testdata/mlx_random_f32/                a checkpoint that MLX quantised and wrote; the logits beside it are
                                                 those of transformers with the weights that MLX dequantised

Two steps, since MLX and transformers are pinned apart:

  mlx/bin/python tools/model/golden/mlx_model.py quantize --model $D/minilm --random $D/random --dequantized $D/dequantized
  venv/bin/python tools/model/golden/mlx_model.py logits --random $D/random --dequantized $D/dequantized
"""

import argparse
import hashlib
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
BUILTIN = HERE.parents[1] / "weights" / "convert" / "testdata" / "goldens_builtin.json"
FOLDER = HERE.parents[1] / "engine" / "testdata" / "mlx_random_f32"
PAIRS = [("a b", "c d e"), ("the cat", "sat on the mat"), ("x", ""), ("one two three four", "five six seven eight nine ten")]


def kept(layer):
    """The layers that our conversion leaves in floats."""
    return layer == "classifier" or layer.endswith("token_type_embeddings")


def quantized_bits(layer, bits):
    return max(8, bits) if layer.endswith("_embeddings") else bits


def builtin_case(mx, np, tensors, dtype, bits, group):
    """One hash of all codes, scales and biases in the order of their names, and one of the dequantised weights."""
    parts, weights = hashlib.sha256(), hashlib.sha256()
    for name in sorted(tensors):
        layer = name.removesuffix(".weight")
        if layer == name or tensors[name].ndim != 2 or kept(layer):
            continue
        b = quantized_bits(layer, bits)
        codes, scales, biases = mx.quantize(tensors[name].astype(getattr(mx, dtype)), group_size=group, bits=b)
        parts.update(np.array(codes).tobytes())
        for x in (scales, biases):
            parts.update(np.array(x if dtype == "float32" else x.view(mx.uint16)).tobytes())
        scales, biases = scales.astype(mx.float32), biases.astype(mx.float32)
        weights.update(np.array(mx.dequantize(codes, scales, biases, group_size=group, bits=b)).tobytes())
    return [parts.hexdigest(), weights.hexdigest()]


def module_tree(nn, shapes):
    """A module with the names and shapes of a file, which nn.quantize walks as it does any model."""
    model = nn.Module()

    def descend(parent, part, following):
        """The module or, before a number, the list at part, made if need be."""
        if part.isdigit():
            while len(parent) <= int(part):
                parent.append(nn.Module())
            return parent[int(part)]
        if part not in parent:
            parent[part] = [] if following.isdigit() else nn.Module()
        return parent[part]

    for name in (n.removesuffix(".weight") for n in shapes if n.endswith(".weight")):
        parent, path = model, name.split(".")
        for part, following in zip(path, path[1:]):
            parent = descend(parent, part, following)
        at = path[-1]
        shape = shapes[name + ".weight"]
        if len(shape) == 1:
            parent[at] = nn.LayerNorm(shape[0])
        elif at.endswith("_embeddings"):
            parent[at] = nn.Embedding(*shape)
        else:
            parent[at] = nn.Linear(shape[1], shape[0])
    return model


def quantize(args):
    import mlx.core as mx
    import mlx.nn as nn
    import numpy as np
    from mlx.utils import tree_flatten

    from quantize import versions

    source = versions()
    mx.set_default_device(mx.cpu)
    tensors = mx.load(str(args.model / "model.safetensors"))
    cases = {
        f"{dtype} {bits} {group}": builtin_case(mx, np, tensors, dtype, bits, group)
        for dtype in ("float32", "float16", "bfloat16")
        for bits in (4, 8)
        for group in (32, 64, 128)
    }
    BUILTIN.parent.mkdir(parents=True, exist_ok=True)
    BUILTIN.write_text(json.dumps({"source": source, "cases": cases}, indent=1) + "\n")

    tensors = mx.load(str(args.random / "random_f32" / "model.safetensors"))
    tensors = {k: v for k, v in tensors.items() if not k.endswith("position_ids")}
    model = module_tree(nn, {name: value.shape for name, value in tensors.items()})
    model.load_weights(list(tensors.items()))

    def scheme(path, module):
        if not hasattr(module, "to_quantized"):
            return False
        if path.endswith("_embeddings"):
            return {"group_size": 32, "bits": 6, "mode": "affine"}
        return True

    nn.quantize(model, group_size=64, bits=4, class_predicate=scheme)
    weights = dict(tree_flatten(model.parameters()))
    config = json.loads((args.random / "random_f32" / "config.json").read_text())
    config["quantization"] = {"group_size": 64, "bits": 4, "mode": "affine"}
    for name in weights:
        if name.endswith("_embeddings.scales"):
            config["quantization"][name.removesuffix(".scales")] = {"group_size": 32, "bits": 6, "mode": "affine"}
    config["quantization_config"] = config["quantization"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(FOLDER / "model.safetensors"), weights, metadata={"format": "mlx"})
    (FOLDER / "config.json").write_text(json.dumps(config, indent=1) + "\n")

    plain = {}
    for name, value in weights.items():
        layer = name.rpartition(".")[0]
        if layer + ".scales" not in weights:
            plain[name] = value
        elif name.endswith(".weight"):
            own = config["quantization"].get(layer, config["quantization"])
            plain[name] = mx.dequantize(
                value, weights[layer + ".scales"], weights[layer + ".biases"], group_size=own["group_size"], bits=own["bits"]
            )
        elif name.endswith(".bias"):
            plain[name] = value
    args.dequantized.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(args.dequantized / "model.safetensors"), plain, metadata={"format": "pt"})


def logits(args):
    import shutil

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    for path in (args.random / "random_f32").iterdir():
        if path.name != "model.safetensors":
            shutil.copy(path, args.dequantized / path.name)
    tokenizer = AutoTokenizer.from_pretrained(args.dequantized)
    model, info = AutoModelForSequenceClassification.from_pretrained(
        args.dequantized, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    if any(info.values()):
        raise SystemExit(f"mlx_model: {info}")
    rows = []
    with torch.inference_mode():
        for query, document in PAIRS:
            encoded = tokenizer([query], [document], return_tensors="pt")
            rows.append({"query": query, "document": document, "logit": float(model.eval()(**encoded).logits[0, 0])})
    (FOLDER / "logits.json").write_text(json.dumps(rows, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["quantize", "logits"])
    for name in ("--model", "--random", "--dequantized"):
        parser.add_argument(name, type=pathlib.Path)
    args = parser.parse_args()
    {"quantize": quantize, "logits": logits}[args.step](args)


if __name__ == "__main__":
    main()
