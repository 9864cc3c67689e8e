"""Makes what the Go tests compare the reader of GGUF with, by llama.cpp's own Python package and transformers:

  weights/gguf/testdata/types.gguf, types.f32  two rows of each type, and what they stand for
  engine/testdata/gguf/                        a checkpoint of each family that llama.cpp converts, in all these types,
                                               with the logits of transformers from the weights that the package
                                               dequantises; and a BERT without its pooler, as llama.cpp leaves it

  venv/bin/python tools/model/golden/ggufs.py [types | MODEL ...]

The names in the files are those of gguf.get_tensor_name_map. The package quantises to types without a K; blocks of
those with one are drawn at random here, scales aside.
"""

import json
import pathlib
import shutil
import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertTokenizer,
    DistilBertConfig,
    DistilBertTokenizer,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from families import LENGTH, PAIRS, byte_pairs, byte_pairs_of_bert, ids_hash, run, unigram, wordpiece

ROOT = pathlib.Path(__file__).resolve().parents[3]
TYPES = ROOT / "weights" / "gguf" / "testdata"
MODELS = ROOT / "engine" / "testdata" / "gguf"
FLAT = [Q.F32, Q.F16, Q.BF16]
SMALL = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0]
# Where the scales of a block are, in float16.
LARGE = {Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}
COMMON = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, layer_norm_eps=1e-3)


def random_blocks(rng, shape, kind, width):
    """Blocks of any codes, whose values are about as large as those of a normal distribution of that width."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (shape[0] * shape[1] // elements, size), dtype=np.uint8)
    largest = 32 * 127 if kind == Q.Q6_K else 63 * (15 if kind == Q.Q4_K else 31)
    for at in LARGE[kind]:
        # With the same factor for both, codes times scales less mins is centred about 0 to within the noise.
        unit = 2.5 * width / largest if at == 0 or kind == Q.Q6_K else 2.5 * width / 63 / 2
        scales = (unit * rng.uniform(0.7, 1.3, len(blocks))).astype(np.float16)
        blocks[:, at : at + 2] = scales[:, None].view(np.uint8)
    return blocks.reshape(shape[0], -1)


def write_types(rng):
    TYPES.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(TYPES / "types.gguf", "bert")
    writer.add_name("types")
    writer.add_float64("test.double", 0.1)
    writer.add_int16("test.negative", -5)
    writer.add_array("test.texts", ["a", "", "ü"])
    writer.add_array("test.numbers", [1, 2, 3])
    values = []
    for kind in [*FLAT, *SMALL, *LARGE]:
        plain = rng.normal(0, 0.05, (2, 512)).astype(np.float32)
        plain[0, :32] = 0
        stored = random_blocks(rng, plain.shape, kind, 0.05) if kind in LARGE else gguf.quantize(plain, kind)
        writer.add_tensor(kind.name, stored, raw_dtype=kind)
        values.append(gguf.dequantize(stored, kind).astype(np.float32).reshape(plain.shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (TYPES / "types.f32").write_bytes(np.stack(values).tobytes())


MODEL_CONFIGS = {
    "roberta": (byte_pairs, lambda v: RobertaConfig(
        **COMMON, vocab_size=v, max_position_embeddings=66, type_vocab_size=1, num_labels=1)),
    "xlm_roberta": (unigram, lambda v: XLMRobertaConfig(
        **COMMON, vocab_size=v, max_position_embeddings=66, type_vocab_size=1, num_labels=1)),
    "distilbert": (lambda: wordpiece(DistilBertTokenizer), lambda v: DistilBertConfig(
        dim=64, n_layers=2, n_heads=4, hidden_dim=256, vocab_size=v, max_position_embeddings=64, num_labels=1)),
    "bert": (lambda: wordpiece(BertTokenizer), lambda v: BertConfig(
        **COMMON, vocab_size=v, max_position_embeddings=64, num_labels=1)),
    "modernbert": (byte_pairs_of_bert, lambda v: ModernBertConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, vocab_size=v, norm_eps=1e-3,
        max_position_embeddings=64, local_attention=16, num_labels=1, classifier_pooling="mean",
        pad_token_id=3, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2)),
}


def stored(rng, name, plain, number):
    """What llama.cpp would store: floats for vectors and small tables, blocks for the rest, here of each type in turn."""
    if plain.ndim == 1 or "position_embd" in name or "token_types" in name:
        return plain, Q.F32
    if name.startswith("cls.output"):
        return plain.reshape(-1), Q.F32  # llama-quantize drops dimensions of 1
    if plain.shape[1] % 256 == 0:
        kind = list(LARGE)[number % len(LARGE)]
        return random_blocks(rng, plain.shape, kind, 1.5 / plain.shape[1] ** 0.5), kind
    kind = [*SMALL, Q.F16, Q.BF16][number % 7]
    return gguf.quantize(plain, kind), kind


def write_model(number, name, make_tokenizer, make_config):
    rng = np.random.default_rng(number)
    folder = MODELS / name
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    config = make_config(len(tokenizer))
    torch.manual_seed(number)
    model = AutoModelForSequenceClassification.from_config(config)
    for parameter in model.parameters():
        scale = 1.5 / parameter.shape[-1] ** 0.5 if parameter.ndim == 2 else 0.2
        centre = 1.0 if parameter.ndim == 1 and parameter.mean() > 0.5 else 0.0
        torch.nn.init.normal_(parameter, centre, scale)
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, 0, 0.7)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)

    architecture = gguf.MODEL_ARCH.MODERN_BERT if name == "modernbert" else gguf.MODEL_ARCH.BERT
    writer = gguf.GGUFWriter(folder / "model.gguf", gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(256)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-12 if name == "distilbert" else 1e-3)
    writer.add_token_list([f"piece {i}" for i in range(len(tokenizer))])
    names = gguf.get_tensor_name_map(architecture, 2)
    prefix = {"xlm_roberta": "roberta.", "modernbert": "model."}.get(name, name + ".")
    offset = 2 if "roberta" in name else 0
    state = model.state_dict()
    for i, (key, value) in enumerate(sorted(state.items())):
        short = key.removeprefix(prefix)
        if short.startswith("pooler.") or short.endswith("position_ids"):
            continue
        if name in ("bert", "distilbert", "modernbert") and short.startswith("classifier."):
            short = short.replace("classifier.", "classifier.out_proj.")  # as BertModel.modify_tensors does
        target = names.get_name(short, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise SystemExit(f"ggufs: {name}: no name for {key}")
        rows = offset if target.startswith("position_embd") else 0
        plain = value.numpy()[rows:].copy()
        data, kind = stored(rng, target, plain, i)
        writer.add_tensor(target, np.ascontiguousarray(data), raw_dtype=kind)
        value[rows:] = torch.from_numpy(gguf.dequantize(data, kind).astype(np.float32).reshape(plain.shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if name == "bert":
        return
    model.load_state_dict(state)
    model.eval()
    want, inputs = run(model, AutoTokenizer.from_pretrained(folder))
    rows = [
        {
            "query": q, "document": d, "n_tokens": len(ids), "ids_sha256": ids_hash(ids),
            "logits": [float(f"{x:.7g}") for x in row],
        }
        for (q, d), ids, row in zip(PAIRS, inputs, want.tolist(), strict=True)
    ]
    (folder / "golden.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    print(name, (folder / "model.gguf").stat().st_size, "bytes; logits", [round(x[0], 3) for x in want.tolist()])


def main():
    wanted = sys.argv[1:] or ["types", *MODEL_CONFIGS]
    if "types" in wanted:
        write_types(np.random.default_rng(0))
    for number, (name, parts) in enumerate(MODEL_CONFIGS.items()):
        if name in wanted:
            write_model(number, name, *parts)
    print(f"pairs of at most {LENGTH} tokens")


if __name__ == "__main__":
    main()
