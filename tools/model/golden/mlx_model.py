"""Makes what the Go tests compare conversions with, by MLX's own functions:

  weights/convert/testdata/goldens_builtin.json  hashes of the embedded model, quantised in each way that there is
  engine/testdata/mlx_random_f32/                a checkpoint that MLX quantised and wrote; the logits beside it are
                                                 those of transformers with the weights that MLX dequantised
  engine/testdata/mlx_modernbert/                the same of a ModernBERT, whose names mlx-embeddings keeps as they are, with
                                                 everything quantised that MLX can quantise, as its conversion does

Two steps, since MLX and transformers are pinned apart:

  mlx/bin/python tools/model/golden/mlx_model.py quantize --model $D/minilm --random $D/random --dequantized $D/dequantized
  venv/bin/python tools/model/golden/mlx_model.py logits --random $D/random --dequantized $D/dequantized
"""

import argparse
import hashlib
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
BUILTIN = HERE.parents[2] / "weights" / "convert" / "testdata" / "goldens_builtin.json"
TESTDATA = HERE.parents[2] / "engine" / "testdata"
FOLDER = TESTDATA / "mlx_random_f32"
MODERN = TESTDATA / "mlx_modernbert"
MODERN_SHAPE = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, global_attn_every_n_layers=2)
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
    write(mx, FOLDER, weights, config, args.dequantized)
    modernbert(mx, nn, tree_flatten, args.dequantized / "modernbert")


def modernbert(mx, nn, tree_flatten, dequantized):
    config = json.loads((TESTDATA / "families" / "modernbert_cls" / "config.json").read_text()) | MODERN_SHAPE
    h, f = config["hidden_size"], config["intermediate_size"]
    shapes = {"model.embeddings.tok_embeddings.weight": (config["vocab_size"], h), "model.embeddings.norm.weight": (h,)}
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}."
        if i > 0:
            shapes[at + "attn_norm.weight"] = (h,)
        shapes |= {
            at + "attn.Wqkv.weight": (3 * h, h), at + "attn.Wo.weight": (h, h), at + "mlp_norm.weight": (h,),
            at + "mlp.Wi.weight": (2 * f, h), at + "mlp.Wo.weight": (h, f),
        }
    shapes |= {
        "model.final_norm.weight": (h,), "head.dense.weight": (h, h), "head.norm.weight": (h,),
        "classifier.weight": (1, h), "classifier.bias": (1,),
    }
    mx.random.seed(1)
    model = module_tree(nn, shapes)
    model.load_weights(
        [
            (name, mx.random.normal(shape) * (1.5 / shape[1] ** 0.5) if len(shape) == 2 else 1 + 0.2 * mx.random.normal(shape))
            for name, shape in shapes.items()
        ],
        strict=False,  # module_tree gives biases to all layers
    )
    nn.quantize(model, group_size=32, bits=4)
    weights = {
        name: value for name, value in tree_flatten(model.parameters()) if not name.endswith(".bias") or name in shapes
    }
    config["quantization"] = config["quantization_config"] = {"group_size": 32, "bits": 4, "mode": "affine"}
    write(mx, MODERN, weights, config, dequantized)


def write(mx, folder, weights, config, dequantized):
    """Writes a quantised checkpoint, and its weights dequantised for transformers."""
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
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
    dequantized.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(dequantized / "model.safetensors"), plain, metadata={"format": "pt"})


def logits(args):
    run(args.random / "random_f32", args.dequantized, FOLDER)
    run(TESTDATA / "families" / "modernbert_cls", args.dequantized / "modernbert", MODERN)


def run(tokenizer_from, dequantized, folder):
    """Writes the logits of a dequantised checkpoint with the tokenizer of another one."""
    import shutil

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    for path in tokenizer_from.iterdir():
        if path.name not in ("model.safetensors", "golden.json"):
            shutil.copy(path, dequantized / path.name)
    config = json.loads((folder / "config.json").read_text())
    plain = {k: v for k, v in config.items() if not k.startswith("quantization")}
    (dequantized / "config.json").write_text(json.dumps(plain))
    tokenizer = AutoTokenizer.from_pretrained(dequantized)
    model, info = AutoModelForSequenceClassification.from_pretrained(
        dequantized, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    if any(info.values()):
        raise SystemExit(f"mlx_model: {info}")
    rows = []
    with torch.inference_mode():
        for query, document in PAIRS:
            encoded = tokenizer([query], [document], return_tensors="pt")
            rows.append({"query": query, "document": document, "logit": float(model.eval()(**encoded).logits[0, 0])})
    (folder / "logits.json").write_text(json.dumps(rows, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["quantize", "logits"])
    for name in ("--model", "--random", "--dequantized"):
        parser.add_argument(name, type=pathlib.Path)
    args = parser.parse_args()
    {"quantize": quantize, "logits": logits}[args.step](args)


if __name__ == "__main__":
    main()
