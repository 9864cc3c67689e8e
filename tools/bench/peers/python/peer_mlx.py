"""MLX, on the CPU or on Apple's GPU. It ships no BERT, so the model is written with its operations here.

int8 and int4 are its affine quantisation in groups of 64, with activations in fp16: all linear layers but the classifier.
"""

import json

import mlx.core as mx
import numpy as np

import batching

PACKAGES = ["mlx"]
BITS = {"fp32": 0, "fp16": 0, "int8": 8, "int4": 4}
GROUP = 64


class Bert:
    def __init__(self, folder, precision):
        with open(f"{folder}/config.json", encoding="utf-8") as file:
            self.config = json.load(file)
        weights = mx.load(f"{folder}/model.safetensors")
        dtype = mx.float32 if precision == "fp32" else mx.float16
        self.weights = {name: w.astype(dtype) for name, w in weights.items() if w.dtype != mx.int64}
        self.bits = BITS[precision]
        self.quantized = {}  # name of a linear layer: codes, scales, biases
        for name in [n.removesuffix(".weight") for n in self.weights] if self.bits else []:
            weight = self.weights.get(name + ".weight")
            if weight is None or weight.ndim != 2 or "embeddings" in name or name == "classifier":
                continue
            self.quantized[name] = mx.quantize(weight, group_size=GROUP, bits=self.bits)
            del self.weights[name + ".weight"]
        mx.eval(self.weights, self.quantized)

    def _linear(self, name, x):
        if name in self.quantized:
            codes, scales, biases = self.quantized[name]
            product = mx.quantized_matmul(x, codes, scales, biases, transpose=True, group_size=GROUP, bits=self.bits)
            return product + self.weights[name + ".bias"]
        return mx.addmm(self.weights[name + ".bias"], x, self.weights[name + ".weight"].T)

    def _norm(self, name, x):
        scale, shift = self.weights[name + ".weight"], self.weights[name + ".bias"]
        return mx.fast.layer_norm(x, scale, shift, self.config["layer_norm_eps"])

    def _layer(self, name, x, mask):
        batch, length, hidden = x.shape
        heads = self.config["num_attention_heads"]
        attention = name + ".attention"

        def split(part):
            y = self._linear(f"{attention}.self.{part}", x)
            return y.reshape(batch, length, heads, hidden // heads).transpose(0, 2, 1, 3)

        mixed = mx.fast.scaled_dot_product_attention(
            split("query"), split("key"), split("value"), scale=(hidden // heads) ** -0.5, mask=mask
        )
        mixed = mixed.transpose(0, 2, 1, 3).reshape(batch, length, hidden)
        x = self._norm(attention + ".output.LayerNorm", x + self._linear(attention + ".output.dense", mixed))
        inner = self._linear(name + ".intermediate.dense", x)
        inner = inner * (1 + mx.erf(inner * 0.5**0.5)) * 0.5
        return self._norm(name + ".output.LayerNorm", x + self._linear(name + ".output.dense", inner))

    def __call__(self, ids, mask, types):
        embeddings = "bert.embeddings"
        x = self.weights[embeddings + ".word_embeddings.weight"][ids]
        x = x + self.weights[embeddings + ".token_type_embeddings.weight"][types]
        x = x + self.weights[embeddings + ".position_embeddings.weight"][: ids.shape[1]]
        x = self._norm(embeddings + ".LayerNorm", x)
        visible = mask[:, None, None, :].astype(mx.bool_)
        for layer in range(self.config["num_hidden_layers"]):
            x = self._layer(f"bert.encoder.layer.{layer}", x, visible)
        pooled = mx.tanh(self._linear("bert.pooler.dense", x[:, 0]))
        return self._linear("classifier", pooled)[:, 0]


class Peer:
    def __init__(self, options):
        if options.precision not in BITS:
            raise SystemExit(f"mlx: no {options.precision} here, only {', '.join(BITS)}")
        mx.set_default_device(mx.gpu if getattr(options, "device", "cpu") == "gpu" else mx.cpu)
        self.encode = batching.PairTokenizer(options.model)
        self.model = Bert(options.model, options.precision)
        self.whole = self._forward
        self.streams = [self._forward]  # one CPU stream: its GEMM takes its threads from OpenBLAS

    def _forward(self, ids, mask, types):
        logits = self.model(mx.array(ids), mx.array(mask), mx.array(types))
        return np.array(logits.astype(mx.float32))
