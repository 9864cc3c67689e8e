"""Sets the CPU's int8 beside PyTorch's arithmetic with the same two roundings: a model's own noise, or a fault of ours?

  venv/bin/python tools/model/quality/int8.py METALRANK FOLDER...     with tools/model/golden/requirements.txt

PyTorch rounds each row of weights and each row that enters a linear layer of the encoder to 255 steps, and computes on in
fp32. Random models have logits that lie close together, so that their order says little: look at rms beside spread.
"""

import itertools
import json
import pathlib
import subprocess
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
from families import PAIRS, TEXTS

ALL = PAIRS + [(q, d) for q in TEXTS[:2] for d in TEXTS]


def rounded(x):
    step = x.abs().amax(-1, keepdim=True).clamp(min=1e-30) / 127
    return (x / step).round() * step


def tau(a, b):
    pairs = list(itertools.combinations(range(len(a)), 2))
    return sum(1 if (a[i] - a[j]) * (b[i] - b[j]) > 0 else -1 for i, j in pairs) / len(pairs)


def ours(binary, folder, precision):
    lines = "".join(json.dumps({"query": q, "text": d}) + "\n" for q, d in ALL)
    command = [binary, "score", "--model", folder, "--pairs", "-", "--raw-scores", "--backend", "cpu", "--precision", precision]
    out = subprocess.run(command, input=lines.encode(), capture_output=True, check=True).stdout
    scores = [json.loads(line) for line in out.splitlines()]
    return [s["score"] if "score" in s else s["scores"][0] for s in scores]


@torch.inference_mode()
def theirs(model, tokenizer):
    return [float(model(**tokenizer([q], [d], truncation=True, return_tensors="pt")).logits[0, 0]) for q, d in ALL]


def main():
    binary, *folders = sys.argv[1:]
    for folder in folders:
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        exact = theirs(model, tokenizer)
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear) and ".layer" in name:
                module.weight.data = rounded(module.weight.data)
                module.register_forward_pre_hook(lambda _, inputs: (rounded(inputs[0]),))
        far = max(abs(a - b) for a, b in zip(ours(binary, folder, "fp32"), exact))
        print(f"{folder}: {len(ALL)} pairs, spread {max(exact) - min(exact):.3f}, fp32 differs by {far:.1g}")
        for label, got in ("ours", ours(binary, folder, "int8")), ("PyTorch", theirs(model, tokenizer)):
            rms = (sum((a - b) ** 2 for a, b in zip(got, exact)) / len(got)) ** 0.5
            print(f"  int8, {label}: tau {tau(got, exact):.3f}, rms {rms:.4f}, max {max(abs(a - b) for a, b in zip(got, exact)):.4f}")


if __name__ == "__main__":
    main()
