"""Makes engine/testdata/families: a tiny random checkpoint of each relative of BERT, and what transformers says of it.

  venv/bin/python tools/model/golden/families.py [FAMILY ...]

Tokenizers are trained, which gives other pieces each time: name the families that are to be made anew.
The folders are written by transformers itself, tokenizers included. Each logit is computed from the weights in the
file, widened to fp32. A mistake in any part shows: each tensor zeroed changes some logit by more than the tolerance
of the Go tests, else the script stops.
"""

import hashlib
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertTokenizer,
    CamembertConfig,
    CamembertTokenizer,
    DistilBertConfig,
    DistilBertTokenizer,
    ElectraConfig,
    RobertaConfig,
    RobertaTokenizer,
    XLMRobertaConfig,
    XLMRobertaTokenizer,
)

OUT = pathlib.Path(__file__).resolve().parents[2] / "engine" / "testdata" / "families"
TEXTS = [
    "The ferry waits until the flag on the mole hangs still.",
    "Ice was packed in straw and shipped inland by a narrow railway.",
    "How many crates of mussels did the harbour master count?",
    "Ein Café am Hafen öffnet früh, bevor die Fähre ablegt.",
    "灯台のランプは十二秒ごとに一回転する。",
    "In 1911 a storm broke the outer wall; the town rebuilt it with granite!",
]
PAIRS = [
    ("How many crates?", TEXTS[2]),
    ("ferry flag", TEXTS[0]),
    ("  two  spaces\tand a tab ", "line\nbreak  and   more "),
    ("Café am Hafen", TEXTS[3]),
    ("灯台", TEXTS[4]),
    ("unknown ☃ signs ẞ", "E = mc² — naïve"),
    ("granite", TEXTS[5] + " " + TEXTS[1] + " " + TEXTS[0]),
    ("x", ""),
    (TEXTS[5] + " " + TEXTS[1], TEXTS[0] + " " + TEXTS[2] + " " + TEXTS[3]),
]
VISIBLE = 1e-3
LENGTH = 40


def wordpiece(cls):
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer()
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trained.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=190, special_tokens=special))
    return cls(vocab=trained.get_vocab(), model_max_length=LENGTH)


def byte_pairs():
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    trained.train_from_iterator(TEXTS, trainer)
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(m) for m in model["merges"]]
    return RobertaTokenizer(vocab=model["vocab"], merges=merges, model_max_length=LENGTH)


def unigram(cls=XLMRobertaTokenizer, special=("<s>", "<pad>", "</s>", "<unk>")):
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=170, special_tokens=list(special), unk_token="<unk>")
    trained.train_from_iterator(TEXTS, trainer)
    vocab = [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]
    return cls(vocab=vocab + [("<mask>", 0.0)], model_max_length=LENGTH)


def camembert():
    """The order of camembert-base, whose own <s> and </s> are not those of its SentencePiece model."""
    special = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>")
    return unigram(CamembertTokenizer, special)


COMMON = dict(
    hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, layer_norm_eps=1e-3
)
FAMILIES = {
    "electra": (lambda: wordpiece(BertTokenizer), lambda v: ElectraConfig(
        **COMMON, vocab_size=v, embedding_size=32, max_position_embeddings=64, num_labels=1)),
    "roberta": (byte_pairs, lambda v: RobertaConfig(
        **COMMON, vocab_size=v, max_position_embeddings=66, type_vocab_size=1, num_labels=1)),
    "xlm_roberta": (unigram, lambda v: XLMRobertaConfig(
        **COMMON, vocab_size=v, max_position_embeddings=42, type_vocab_size=1, num_labels=2, hidden_act="gelu_new")),
    "distilbert": (lambda: wordpiece(DistilBertTokenizer), lambda v: DistilBertConfig(
        dim=48, n_layers=2, n_heads=4, hidden_dim=64, vocab_size=v, max_position_embeddings=64, num_labels=1)),
    "camembert": (camembert, lambda v: CamembertConfig(
        **COMMON, vocab_size=v, max_position_embeddings=66, type_vocab_size=1, num_labels=1)),
}


@torch.inference_mode()
def run(model, tokenizer):
    rows, inputs = [], []
    for query, document in PAIRS:
        encoded = tokenizer([query], [document], truncation="longest_first", max_length=LENGTH, return_tensors="pt")
        inputs.append(encoded["input_ids"][0].tolist())
        rows.append(model(**encoded).logits[0])
    return torch.stack(rows), inputs


def ids_hash(ids):
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]


def main():
    wanted = sys.argv[1:] or list(FAMILIES)
    for number, (name, (make_tokenizer, make_config)) in enumerate(FAMILIES.items()):
        if name not in wanted:
            continue
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        tokenizer = make_tokenizer()
        tokenizer.save_pretrained(folder)
        torch.manual_seed(number)
        model = AutoModelForSequenceClassification.from_config(make_config(len(tokenizer)))
        for parameter in model.parameters():  # far from the initial values, which are too small to show anything
            scale = 1.5 / parameter.shape[-1] ** 0.5 if parameter.ndim == 2 else 0.2
            centre = 1.0 if parameter.ndim == 1 and parameter.mean() > 0.5 else 0.0
            torch.nn.init.normal_(parameter, centre, scale)
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                torch.nn.init.normal_(module.weight, 0, 0.7)
        model.half().save_pretrained(folder)

        model, info = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
        if any(info.values()):
            raise SystemExit(f"families: {name}: {info}")
        model.eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        want, inputs = run(model, tokenizer)
        least = ("", 1e9)
        for tensor_name, tensor in model.state_dict().items():
            # It adds the same to all scores of a query.
            if tensor_name.endswith(("key.bias", "k_lin.bias")):
                continue
            saved = tensor.clone()
            tensor.zero_()
            effect = float((run(model, tokenizer)[0] - want).abs().max())
            tensor.copy_(saved)
            if effect < least[1]:
                least = (tensor_name, effect)
        if least[1] < VISIBLE:
            raise SystemExit(f"families: {name}: without {least[0]} hardly anything changes: {least[1]}")
        rows = [
            {
                "query": q, "document": d, "n_tokens": len(ids), "ids_sha256": ids_hash(ids),
                "logits": [float(f"{x:.7g}") for x in row],
            }
            for (q, d), ids, row in zip(PAIRS, inputs, want.tolist(), strict=True)
        ]
        (folder / "golden.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
        if name == "distilbert":  # the same once more, as checkpoints were stored before safetensors
            pickled = OUT / "distilbert_pickle"
            pickled.mkdir(exist_ok=True)
            torch.save(load_file(folder / "model.safetensors"), pickled / "pytorch_model.bin")
        sizes = sum(p.stat().st_size for p in folder.iterdir())
        print(f"{name}: vocabulary {len(tokenizer)}, {sizes} bytes; shows least: {least}; logits {want[:3].tolist()}")


if __name__ == "__main__":
    main()
