"""Converts the checkpoint for the runtimes that want files of their own, by the route that each project documents.

  fp32.onnx   torch.onnx.export, the TorchScript exporter: onnxruntime fuses more of its graph (15 % faster than dynamo's)
  int8.onnx   onnxruntime.quantization.quantize_dynamic, weights int8 per channel: as fast as per tensor, half the error
  fp32.xml    openvino.convert_model
  int8.xml    nncf.quantize, weights and activations int8, calibrated on texts of the workload `calibration`. Pooler and
              classifier stay in floating point: quantised, they add 1.0 to the logits' error and save nothing.
"""

import argparse
import inspect
import os
import random

import nncf
import onnxruntime.quantization
import openvino
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from batching import max_length, texts
from worker import read_workloads

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
SAMPLES = 300  # as NNCF advises


def inputs_of(model):
    """The names of INPUTS that a model takes."""
    parameters = inspect.signature(model.forward).parameters
    return [name for name in INPUTS if name in parameters]


def export_onnx(model, example, folder):
    names = list(example)
    axes = {name: {0: "batch", 1: "length"} for name in names}
    torch.onnx.export(
        model,
        (),
        f"{folder}/fp32.onnx",
        kwargs=example,
        input_names=names,
        output_names=["logits"],
        dynamic_axes={**axes, "logits": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    onnxruntime.quantization.quantize_dynamic(
        f"{folder}/fp32.onnx",
        f"{folder}/int8.onnx",
        weight_type=onnxruntime.quantization.QuantType.QInt8,
        per_channel=True,
    )


def convert_openvino(model, example, samples, folder):
    if getattr(model.config, "local_attention", 0):
        # A padding row sees no key within its window: OpenVINO's fused attention answers NaN, which spreads.
        model.set_attn_implementation("eager")
    converted = openvino.convert_model(model, example_input=example)
    openvino.save_model(converted, f"{folder}/fp32.xml", compress_to_fp16=False)
    products = [op.get_friendly_name() for op in converted.get_ops() if op.get_type_name() == "MatMul"]
    head = [name for name in products if any(part in name for part in ("pooler", "classifier", ".head.", ".score"))]
    if not 1 <= len(head) <= 2:
        raise SystemExit(f"prepare: expected one or two products of the head, found {head} among {products}")
    quantised = nncf.quantize(
        converted,
        nncf.Dataset(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(names=head),
    )
    openvino.save_model(quantised, f"{folder}/int8.xml", compress_to_fp16=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of the checkpoint")
    parser.add_argument("--workloads", required=True, help="file of requests, with the workload `calibration`")
    parser.add_argument("--artifacts", required=True, help="folder to write; must not exist")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="texts to calibrate int8 with")
    options = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForSequenceClassification.from_pretrained(options.model, dtype=torch.float32).eval()
    model.config.use_cache = False  # a decoder would answer its keys and values as well
    pairs = [(q, d) for q, docs in read_workloads(options.workloads)["calibration"] for d in docs]
    pairs = random.Random(1).sample(pairs, options.samples)

    names, longest = inputs_of(model), max_length(options.model)

    def inputs(batch):
        # Tokenizers of models with one token type leave the types out.
        return {name: batch[name] if name in batch else batch["input_ids"] * 0 for name in names}

    def encode(query, document):
        columns = map(list, zip(*texts(options.model, query, [document])))
        return inputs(tokenizer(*columns, truncation="longest_first", max_length=longest, return_tensors="np"))

    samples = [encode(*pair) for pair in pairs]
    columns = map(list, zip(*(texts(options.model, query, [document])[0] for query, document in pairs[:2])))
    example = inputs(tokenizer(*columns, padding=True, return_tensors="pt"))

    # Written to another folder and renamed, so that no process sees half of it.
    work = f"{options.artifacts}.{os.getpid()}"
    os.makedirs(work)
    with torch.inference_mode():
        export_onnx(model, example, work)
        convert_openvino(model, example, samples, work)
    os.rename(work, options.artifacts)


if __name__ == "__main__":
    main()
