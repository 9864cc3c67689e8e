"""Makes decoders in the layouts of MLX and of llama.cpp, of those that decoders.py made, with transformers' logits of the
weights that MLX and llama.cpp's Python package dequantise:

  engine/testdata/mlx_qwen3/   4 bits in groups of 64 and bfloat16, everything quantised that mlx-lm quantises
  engine/testdata/gguf/qwen3/  a reranker's file, whose two rows of the head are cls.output
  engine/testdata/gguf/qwen2/  a language model's file, with biases

  venv/bin/python tools/model/golden/decoder_layouts.py

It needs the packages of requirements.txt and of requirements-mlx.txt. The folders have weights and config.json alone; the
other files are those of engine/testdata/families.
"""

import json
import shutil

import gguf
import mlx.core as mx
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q
from safetensors.torch import load_file
from transformers import Qwen2ForCausalLM, Qwen3ForCausalLM

from decoders import OUT, run

TESTDATA = OUT.parent
KINDS = [Q.Q4_0, Q.Q8_0, Q.Q5_1, Q.F16, Q.BF16]


def golden(folder, name, cls, state, tokens):
    """Writes the logits that a decoder has with other weights."""
    model = cls.from_pretrained(OUT / name, dtype=torch.float32, attn_implementation="eager")
    missing = model.load_state_dict(state, strict=False).missing_keys
    if missing not in ([], ["lm_head.weight"]):  # tied
        raise SystemExit(f"decoder_layouts: {name}: no {missing}")
    model.tie_weights()
    model.eval()
    rows = json.loads((OUT / name / "golden.json").read_text())
    want = run(model, [row["ids"] for row in rows], tokens)
    kept = [{"ids": row["ids"], "logits": [float(f"{x:.7g}") for x in w]} for row, w in zip(rows, want.tolist(), strict=True)]
    (folder / "golden.json").write_text("[\n" + ",\n".join(" " + json.dumps(row) for row in kept) + "\n]\n")
    far = max(abs(a - b) for row, k in zip(rows, kept) for a, b in zip(row["logits"], k["logits"]))
    print(f"{folder.relative_to(TESTDATA)}: {sum(p.stat().st_size for p in folder.iterdir())} bytes; a logit moves by {far:.3g}")


def tokens_of(name):
    settings = OUT / name / "1_LogitScore" / "config.json"
    if settings.exists():
        values = json.loads(settings.read_text())
        return values["true_token_id"], values["false_token_id"]
    vocab = json.loads((OUT / name / "tokenizer.json").read_text())["model"]["vocab"]
    no, yes = json.loads((OUT / name / "config.json").read_text())["classifier_from_token"]
    return vocab[yes], vocab[no]


def fresh(*parts):
    folder = TESTDATA.joinpath(*parts)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_mlx(name, group, bits):
    """As nn.quantize does in mlx-lm: embeddings and layers whose rows are whole groups."""
    mx.set_default_device(mx.cpu)
    folder, state, out = fresh("mlx_" + name), {}, {}
    for key, value in load_file(OUT / name / "model.safetensors").items():
        x = mx.array(value.float().numpy()).astype(mx.bfloat16)
        if x.ndim == 2 and x.shape[-1] % group == 0:
            codes, scales, biases = mx.quantize(x, group_size=group, bits=bits)
            layer = key.removesuffix(".weight")
            out |= {key: codes, layer + ".scales": scales, layer + ".biases": biases}
            scales, biases = scales.astype(mx.float32), biases.astype(mx.float32)
            x = mx.dequantize(codes, scales, biases, group_size=group, bits=bits)
        else:
            out[key] = x
        state[key] = torch.from_numpy(np.array(x.astype(mx.float32)))
    mx.save_safetensors(str(folder / "model.safetensors"), out, metadata={"format": "mlx"})
    config = json.loads((OUT / name / "config.json").read_text())
    config["quantization"] = config["quantization_config"] = {"group_size": group, "bits": bits, "mode": "affine"}
    (folder / "config.json").write_text(json.dumps(config, indent=4) + "\n")
    golden(folder, name, Qwen3ForCausalLM, state, tokens_of(name))


def write_gguf(name, architecture, cls, rank):
    folder = fresh("gguf", name)
    config = json.loads((OUT / name / "config.json").read_text())
    writer = gguf.GGUFWriter(folder / "model.gguf", gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    tokens = tokens_of(name)
    tensors = load_file(OUT / name / "model.safetensors")
    if rank:  # Qwen3Model of llama.cpp's conversion/qwen.py
        writer.add_pooling_type(gguf.PoolingType.RANK)
        writer.add_classifier_output_labels(["yes", "no"])
        rows = tensors["model.embed_tokens.weight"][list(tokens)].float().numpy()
        writer.add_tensor(gguf.TENSOR_NAMES[gguf.MODEL_TENSOR.CLS_OUT] + ".weight", rows)
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    state = {}
    for i, (key, value) in enumerate(sorted(tensors.items())):
        target = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise SystemExit(f"decoder_layouts: {name}: no name for {key}")
        plain, kind = value.float().numpy(), Q.F32
        if plain.ndim == 2:
            kind = KINDS[i % len(KINDS)] if plain.shape[1] % 32 == 0 else Q.F16
        data = plain if kind == Q.F32 else gguf.quantize(plain, kind)
        writer.add_tensor(target, np.ascontiguousarray(data), raw_dtype=kind)
        state[key] = torch.from_numpy(gguf.dequantize(data, kind).astype(np.float32).reshape(plain.shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    shutil.copy(OUT / name / "config.json", folder / "config.json")
    if rank:  # the score is made of other rows than those of the table, which are rounded
        state["lm_head.weight"] = tensors["model.embed_tokens.weight"].float()
        write_rank_golden(folder, name, cls, state, tokens)
    else:
        golden(folder, name, cls, state, tokens)


def write_rank_golden(folder, name, cls, state, tokens):
    untied = lambda path, **kw: cls.from_pretrained(path, tie_word_embeddings=False, **kw)  # noqa: E731
    golden(folder, name, type("Untied", (), {"from_pretrained": staticmethod(untied)}), state, tokens)


def main():
    write_mlx("qwen3", 64, 4)
    write_gguf("qwen3", gguf.MODEL_ARCH.QWEN3, Qwen3ForCausalLM, True)
    write_gguf("qwen2", gguf.MODEL_ARCH.QWEN2, Qwen2ForCausalLM, False)


if __name__ == "__main__":
    main()
