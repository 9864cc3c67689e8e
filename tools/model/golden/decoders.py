"""Makes the decoders of engine/testdata/families: tiny random rerankers of Qwen3, Qwen2 and Llama, and what transformers
says of them.

  venv/bin/python tools/model/golden/decoders.py [DECODER ...]

Like families.py, whose rules hold. Goldens have the token ids, of the prompts that the model cards give. Each tensor of
zeros changes a logit, and so does each other key of a query: the script stops where one doesn't. The folder of qwen3 is in
the layout of sentence-transformers (6.2.0), as Qwen3-Reranker and zerank-2 are published.
"""

import json
import shutil
import sys

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaModel,
    LlamaPreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
)

from families import OUT, PAIRS, TEXTS, VISIBLE, edit, ids_hash, randomise

LENGTH = 256
# github.com/QwenLM/Qwen3-Embedding, and the card of Qwen3-Reranker-0.6B.
SYSTEM = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
TASK = "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n<Query>: "
ANSWER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def qwen_tokenizer():
    """Qwen's byte pairs, trained so that the prompt is few tokens."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.NFC()
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    trained.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    corpus = TEXTS + ["yes", "no", SYSTEM, TASK, ANSWER, "\n<Document>: ", "question:a", "passage:a"] * 5
    trained.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=560, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    ))
    trained.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=trained, model_max_length=LENGTH, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        model_input_names=["input_ids", "attention_mask"],
    )


def qwen_prompt(query, document):
    return SYSTEM + TASK + query + "\n<Document>: " + document + ANSWER


def llama_prompt(query, document):
    """The card of llama-nemotron-rerank-1b-v2."""
    return f"question:{query} \n \n passage:{document}"


class LlamaBidirectional(LlamaPreTrainedModel):
    """LlamaBidirectionalForSequenceClassification of llama_bidirectional_model.py beside nvidia's rerankers, for one
    sequence without padding. A config that is not causal makes transformers' masks those of both directions."""

    def __init__(self, config):
        super().__init__(config)
        self.model = LlamaModel(config)
        self.score = torch.nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def forward(self, input_ids):
        rows = self.model(input_ids=input_ids).last_hidden_state[0]
        row = rows.mean(0) if self.config.pooling == "avg" else rows[-1]
        return self.score(row) / self.config.divisor


def publish_llama(folder):
    """The keys of a config of transformers 4, and custom code. Of a model's config transformers 5 would drop temperature."""
    config = json.loads((folder / "config.json").read_text())
    rope = config["rope_parameters"]
    edit(
        folder, drop=("rope_parameters", "is_causal", "divisor"), temperature=config["divisor"], model_type="llama_bidirec",
        architectures=["LlamaBidirectionalForSequenceClassification"], rope_theta=rope.pop("rope_theta"),
        rope_scaling=rope if rope["rope_type"] != "default" else None,
        auto_map={
            "AutoModelForSequenceClassification": "llama_bidirectional_model.LlamaBidirectionalForSequenceClassification"
        },
    )


def publish_qwen2(folder):
    """The keys of a config of transformers 4, and vLLM's for the tokens of the score."""
    config = json.loads((folder / "config.json").read_text())
    edit(
        folder, drop=("rope_parameters", "layer_types"), rope_theta=config["rope_parameters"]["rope_theta"],
        rope_scaling=None, classifier_from_token=["0", "1"], method="from_2_way_softmax",
    )


def publish_untied(folder):
    edit(folder, classifier_from_token=["yes"])


def publish_qwen3(folder):
    """What sentence-transformers saves beside a language model."""
    ids = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "1_LogitScore").mkdir()
    name = "sentence_transformers.base.modules.transformer.Transformer"
    score = "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"
    modality = {"method": "forward", "method_output_name": "logits"}
    for path, value in {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": name},
            {"idx": 1, "name": "1", "path": "1_LogitScore", "type": score},
        ],
        "1_LogitScore/config.json": {"true_token_id": ids["yes"], "false_token_id": ids["no"]},
        "config_sentence_transformers.json": {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.activation.Sigmoid"},
        "sentence_bert_config.json": {
            "transformer_task": "text-generation",
            "modality_config": {"text": modality, "message": modality | {"format": "flat"}},
            "module_output_name": "causal_logits",
            "processing_kwargs": {"chat_template": {"add_generation_prompt": True}},
        },
    }.items():
        (folder / path).write_text(json.dumps(value, indent=2) + "\n")


COMMON = dict(max_position_embeddings=LENGTH, rms_norm_eps=1e-3, pad_token_id=0)
TOKENS = {"qwen3": ("yes", "no"), "qwen3_untied": ("yes", None), "qwen2": ("1", "0")}
DECODERS = {
    # A·D is not H, and two heads share each key.
    "qwen3": (Qwen3ForCausalLM, qwen_prompt, publish_qwen3, lambda v: Qwen3Config(
        **COMMON, vocab_size=v, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
        intermediate_size=96, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, tie_word_embeddings=True)),
    # Three heads share one key, with biases; a head of its own, of which one row makes the score.
    "qwen3_untied": (Qwen3ForCausalLM, qwen_prompt, publish_untied, lambda v: Qwen3Config(
        **COMMON, vocab_size=v, hidden_size=48, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=16,
        intermediate_size=64, rope_parameters={"rope_type": "default", "rope_theta": 5000.0}, tie_word_embeddings=False,
        attention_bias=True)),
    # Heads of the published size.
    "qwen3_seqcls": (Qwen3ForSequenceClassification, qwen_prompt, None, lambda v: Qwen3Config(
        **COMMON, vocab_size=v, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=128,
        intermediate_size=96, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, num_labels=1)),
    "qwen2": (Qwen2ForCausalLM, qwen_prompt, publish_qwen2, lambda v: Qwen2Config(
        **COMMON, vocab_size=v, hidden_size=48, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
        intermediate_size=64, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, tie_word_embeddings=True)),
    "qwen2_seqcls": (Qwen2ForSequenceClassification, qwen_prompt, None, lambda v: Qwen2Config(
        **COMMON, vocab_size=v, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=64, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, num_labels=3)),
    # Frequencies of all three kinds of Llama 3's scaling, and every bias.
    "llama": (LlamaBidirectional, llama_prompt, publish_llama, lambda v: LlamaConfig(
        **COMMON, vocab_size=v, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, num_labels=1, is_causal=False, pooling="avg", divisor=0.5, attention_bias=True, mlp_bias=True,
        rope_parameters={
            "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64})),
    "llama_last": (LlamaBidirectional, llama_prompt, publish_llama, lambda v: LlamaConfig(
        **COMMON, vocab_size=v, hidden_size=48, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3, head_dim=32,
        intermediate_size=64, num_labels=2, is_causal=False, pooling="last", divisor=1.0,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})),
}


@torch.inference_mode()
def run(model, inputs, tokens):
    rows = []
    for ids in inputs:
        out = model(input_ids=torch.tensor([ids]))
        if isinstance(out, torch.Tensor):
            rows.append(out)
        elif tokens is None:
            rows.append(out.logits[0])
        else:
            last = out.logits[0, -1]
            yes, no = tokens
            rows.append((last[yes] - last[no] if no is not None else last[yes])[None])
    return torch.stack(rows)


def main():
    wanted = sys.argv[1:] or list(DECODERS)
    for number, (name, (cls, prompt, publish, make_config)) in enumerate(DECODERS.items()):
        if name not in wanted:
            continue
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        tokenizer = qwen_tokenizer()
        tokenizer.save_pretrained(folder)
        edit_class(folder)
        torch.manual_seed(100 + number)
        model = cls(make_config(len(tokenizer)))
        randomise(model)
        model.half().save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        model, info = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        if any(info.values()):
            raise SystemExit(f"decoders: {name}: {info}")
        model.eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        words = TOKENS.get(name)
        tokens = words and [w and tokenizer.convert_tokens_to_ids(w) for w in words]
        inputs = [tokenizer.encode(prompt(q, d), add_special_tokens=False) for q, d in PAIRS]
        if max(map(len, inputs)) > LENGTH:
            raise SystemExit(f"decoders: {name}: {max(map(len, inputs))} tokens")
        want = run(model, inputs, tokens)
        least = ("", 1e9)
        for tensor_name, tensor in model.state_dict().items():
            saved = tensor.clone()
            tensor.zero_()
            effect = float((run(model, inputs, tokens) - want).abs().max())
            tensor.copy_(saved)
            least = min(least, (tensor_name, effect), key=lambda x: x[1])
        if least[1] < VISIBLE:
            raise SystemExit(f"decoders: {name}: without {least[0]} hardly anything changes: {least[1]}")
        if publish:
            publish(folder)
        rows = [
            {
                "query": q, "document": d, "n_tokens": len(ids), "ids_sha256": ids_hash(ids), "ids": ids,
                "logits": [float(f"{x:.7g}") for x in row],
            }
            for (q, d), ids, row in zip(PAIRS, inputs, want.tolist(), strict=True)
        ]
        lines = ",\n".join(" " + json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / "golden.json").write_text(f"[\n{lines}\n]\n")
        sizes = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        print(f"{name}: {sizes} bytes; {max(map(len, inputs))} tokens; shows least: {least}; logits {want[:3].tolist()}")


def edit_class(folder):
    """The published tokenizers say that they are Qwen2's."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"tokenizer_class": "Qwen2Tokenizer"}, indent=2) + "\n")


if __name__ == "__main__":
    main()
