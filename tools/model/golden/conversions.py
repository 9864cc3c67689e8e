"""Opens what `metalrank convert` writes of the embedded model, with the programs that it is written for:

  mlx/bin/python tools/model/golden/conversions.py mlx --metalrank bin/metalrank
  venv/bin/python tools/model/golden/conversions.py transformers --metalrank bin/metalrank

mlx: each integer folder loads as mlx-lm loads one (load_model in mlx_lm/utils.py, 0.29): nn.quantize by config.json,
then load_weights, strict. What MLX dequantises must be what metalrank reads, bit for bit: mx.dequantize in float32 beside
the folder that metalrank converts back to fp32. In the type of the scales, which MLX computes in, it is off by rounding.

transformers: each float folder loads without a key missing or left over, has the weights of the source rounded once by
PyTorch, and gives its logits.

It stops at the first thing that is not so.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

PAIRS = [("how do I remove limescale?", "Vinegar dissolves lime."), ("opening hours", "The shop sells shoes."), ("x", "")]


def fail(*words):
    raise SystemExit("conversions: " + " ".join(map(str, words)))


def convert(args, source, target, *flags):
    subprocess.run([args.metalrank, "convert", source, target, *flags], check=True, stdout=subprocess.DEVNULL)
    return pathlib.Path(target)


def scheme_of(config, path):
    """load_model's class_predicate: a layer's own entry, else that of all."""
    return config["quantization"].get(path) or {k: config["quantization"][k] for k in ("group_size", "bits", "mode")}


def with_mlx(args, work):
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten

    from mlx_model import module_tree
    from quantize import versions

    print(versions())
    mx.set_default_device(mx.cpu)
    plain = mx.load(str(convert(args, "builtin", work / "fp32", "--dtype=fp32") / "model.safetensors"))
    shapes = {name: value.shape for name, value in plain.items()}
    cases = [(d, g, "fp16") for d in ("int8", "int4") for g in (32, 64, 128)]
    cases += [("int8", 64, "fp32"), ("int8", 64, "bf16"), ("int4", 64, "bf16"), ("int6", 64, "fp16"), ("int3", 64, "fp16"), ("int2", 64, "fp16")]
    for dtype, group, scales in cases:
        name = f"{dtype}-{group}-{scales}"
        folder = convert(args, "builtin", work / name, f"--dtype={dtype}", f"--group-size={group}", f"--float={scales}")
        ours = mx.load(str(convert(args, folder, work / (name + "-back"), "--dtype=fp32") / "model.safetensors"))
        config = json.loads((folder / "config.json").read_text())
        weights, metadata = mx.load(str(folder / "model.safetensors"), return_metadata=True)
        model = module_tree(nn, shapes)
        nn.quantize(
            model, group_size=group, bits=int(dtype[3:]),
            class_predicate=lambda path, module: f"{path}.scales" in weights and scheme_of(config, path),
        )
        model.load_weights(list(weights.items()), strict=True)
        mx.eval(model.parameters())
        if metadata.get("format") != "mlx":
            fail(name, "metadata", metadata)
        loaded, quantised, furthest = dict(tree_flatten(model.parameters())), 0, 0.0
        for key, want in ours.items():
            got, layer = loaded[key], key.removesuffix(".weight")
            if layer + ".scales" in loaded:
                own = scheme_of(config, layer)
                parts = loaded[layer + ".scales"], loaded[layer + ".biases"]
                kwargs = {"group_size": own["group_size"], "bits": own["bits"]}
                native = mx.dequantize(got, *parts, **kwargs).astype(mx.float32)
                got = mx.dequantize(got, *(p.astype(mx.float32) for p in parts), **kwargs)
                furthest = max(furthest, (native - want).abs().max().item() / want.abs().max().item())
                quantised += 1
            if not mx.array_equal(got.astype(mx.float32), want):
                fail(name, key, "differs")
        if quantised < 36:
            fail(name, quantised, "quantised layers")
        print(f"{name}: loads, strict; {quantised} layers dequantise to the same bits, in {scales} within {furthest:.1e} of the largest")


def with_transformers(args, work):
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from golden import versions

    print(versions())
    sources = {"builtin": convert(args, "builtin", work / "source", "--dtype=fp32")}
    for family in ("distilbert", "electra", "roberta", "xlm_roberta", "camembert"):
        at = pathlib.Path(__file__).resolve().parents[3] / "engine" / "testdata" / "families" / family
        sources[family] = convert(args, at, work / family, "--dtype=fp32")
    for name, source in sources.items():
        want, tensors = None, load_file(source / "model.safetensors")
        for flag, dtype, tolerance in (("fp32", torch.float32, 0), ("fp16", torch.float16, 0.02), ("bf16", torch.bfloat16, 0.1)):
            folder = convert(args, source, work / f"{name}-{flag}", f"--dtype={flag}")
            for key, value in load_file(folder / "model.safetensors").items():
                if value.dtype != dtype or not torch.equal(value, tensors[key].to(dtype)):
                    fail(name, flag, key, "is not the source rounded once")
            model, info = AutoModelForSequenceClassification.from_pretrained(folder, dtype="auto", output_loading_info=True)
            if any(info.values()) or model.dtype != dtype:
                fail(name, flag, info, model.dtype)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = model.float().eval()
            with torch.inference_mode():
                logits = torch.stack([model(**tokenizer([q], [d], truncation=True, return_tensors="pt")).logits[0] for q, d in PAIRS])
            want = logits if want is None else want
            far = (logits - want).abs().max().item()
            if not far <= tolerance * max(1, want.abs().max().item()):
                fail(name, flag, "logits", logits.tolist(), "want", want.tolist())
            print(f"{name} {flag}: loads; no key missing or left over; weights as PyTorch rounds them; logits within {far:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", choices=["mlx", "transformers"])
    parser.add_argument("--metalrank", type=pathlib.Path, required=True)
    args = parser.parse_args()
    args.metalrank = args.metalrank.resolve()
    with tempfile.TemporaryDirectory() as work:
        {"mlx": with_mlx, "transformers": with_transformers}[args.program](args, pathlib.Path(work))


if __name__ == "__main__":
    main()
