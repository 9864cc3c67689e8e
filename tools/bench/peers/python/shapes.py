"""Writes a checkpoint with the shape of a published reranker and random weights, for comparisons of speed. Its tokenizer is
the one of the folder --tokenizer, so that texts have the same lengths for every shape; all segment ids are 0.
"""

import argparse
import json
import os

import torch
from transformers import AutoModelForSequenceClassification, ModernBertConfig, Qwen3Config, XLMRobertaConfig

COMMON = {"num_labels": 1, "pad_token_id": 0, "cls_token_id": 101, "bos_token_id": 101, "sep_token_id": 102, "eos_token_id": 102}
# answerdotai/ModernBERT-base, BAAI/bge-reranker-v2-m3 and Qwen/Qwen3-Reranker-0.6B, by their config.json; the vocabulary is the
# tokenizer's.
SHAPES = {
    "modernbert-base": lambda vocab, layers: ModernBertConfig(
        vocab_size=vocab, num_hidden_layers=layers or 22, hidden_size=768, intermediate_size=1152, num_attention_heads=12,
        max_position_embeddings=8192, local_attention=128, global_attn_every_n_layers=3, classifier_pooling="mean", **COMMON
    ),
    "bge-v2-m3": lambda vocab, layers: XLMRobertaConfig(
        vocab_size=vocab, num_hidden_layers=layers or 24, hidden_size=1024, intermediate_size=4096, num_attention_heads=16,
        max_position_embeddings=8194, type_vocab_size=1, layer_norm_eps=1e-5, **COMMON
    ),
    "qwen3-0.6b": lambda vocab, layers: Qwen3Config(
        vocab_size=vocab, num_hidden_layers=layers or 28, hidden_size=1024, intermediate_size=3072, num_attention_heads=16,
        num_key_value_heads=8, head_dim=128, max_position_embeddings=40960, rope_theta=1e6, tie_word_embeddings=True, **COMMON
    ),
}
# Between them, about as many tokens as Qwen3-Reranker's prompt has of its own tokenizer.
PROMPT = (
    "judge whether the document meets the requirements based on the query and the instruct provided. note that the answer can "
    "only be yes or no. instruct: given a web search query, retrieve relevant passages that answer the query. query: ",
    " document: ",
    " assistant think",
)
TEXT_OF = '{{ messages | selectattr("role", "eq", "%s") | map(attribute="content") | first }}'


def without_types(node):
    """A post-processor whose segment ids are all 0."""
    if isinstance(node, dict):
        return {key: 0 if key == "type_id" else without_types(value) for key, value in node.items()}
    if isinstance(node, list):
        return [without_types(value) for value in node]
    return node


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--layers", type=int, default=0, help="instead of the model's own number")
    parser.add_argument("--tokenizer", required=True, help="folder of a checkpoint")
    parser.add_argument("--out", required=True, help="folder to write")
    options = parser.parse_args()

    with open(f"{options.tokenizer}/tokenizer.json", encoding="utf-8") as file:
        tokenizer = json.load(file)
    config = SHAPES[options.shape](len(tokenizer["model"]["vocab"]), options.layers)
    decoder = config.model_type == "qwen3"
    tokenizer["post_processor"] = None if decoder else without_types(tokenizer["post_processor"])
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    os.makedirs(options.out, exist_ok=True)
    model.save_pretrained(options.out)
    with open(f"{options.out}/tokenizer.json", "w", encoding="utf-8") as file:
        json.dump(tokenizer, file, ensure_ascii=False)
    if decoder:
        before, between, after = PROMPT
        with open(f"{options.out}/chat_template.jinja", "w", encoding="utf-8") as file:
            file.write(before + TEXT_OF % "query" + between + TEXT_OF % "document" + after)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192, "do_lower_case": True,
        "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]",
    }
    with open(f"{options.out}/tokenizer_config.json", "w", encoding="utf-8") as file:
        json.dump(settings, file)


if __name__ == "__main__":
    main()
