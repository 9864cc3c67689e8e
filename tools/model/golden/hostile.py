"""Makes engine/testdata/hostile.jsonl.zst: what transformers' tokenizers make of hostile pairs of texts.

  venv/bin/python tools/model/golden/hostile.py     needs sentencepiece and protobuf besides requirements.txt

Its first line is the charsmap of SentencePiece's nmt_nfkc (Apache-2.0), which the tokenizers of XLM-RoBERTa and its
descendants normalise texts with, and ALBERT's too: the families' fixtures get it as their normaliser. Every other line is a pair, cut at one
side or the other, with or without special tokens as text, and hashes of its ids by family.
"""

import base64
import io
import json
import pathlib
import random
import shutil
import tempfile

import sentencepiece
import zstandard
from sentencepiece import sentencepiece_model_pb2
from transformers import AutoTokenizer

from families import OUT, TEXTS, ids_hash

FAMILIES = ["xlm_roberta", "roberta", "modernbert", "albert", "camembert"]
PAIRS, LENGTH = 240, 24
SPECIAL = ["[SEP]", "[CLS]", "[MASK]", "[UNK]", "<s>", "</s>", "<pad>", "<unk>", "<mask>", " <mask>  ", " [MASK] ", "[sep]", "[ SEP ]"]
SPACE = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "\u2028", "\u0085", "\u00ad", "\u200d", "▁", " ▁ ", "\x01", "\x7f"]
SIGNS = [
    "é", "e\u0301", "Å", "A\u030a", "ﬀ", "Ⅷ", "²", "℃", "İ", "ı", "ß", "ẞ", "ǅ", "ς", "가", "\u1100\u1161", "👍🏽", "👨‍👩‍👧", "🇩🇪", "☃",
    "ＡＢＣ１２", "①②", "½", "™", "㍿", "ﷺ", "\ufffd", "\u0300", "\u0e33", "\u0f77", "ŉ", "㌀", "＿", "``", "''", "’", "…", "don't", "I'M", "12345",
]


def charsmap():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20), model_writer=model, vocab_size=100, model_type="unigram",
        normalization_rule_name="nmt_nfkc", hard_vocab_limit=False, minloglevel=2,
    )
    parsed = sentencepiece_model_pb2.ModelProto()
    parsed.ParseFromString(model.getvalue())
    return base64.b64encode(parsed.normalizer_spec.precompiled_charsmap).decode()


def text(rng):
    parts = []
    for _ in range(rng.choice([0, 1, 2, 3, 5, 8, 13, 21])):
        parts.append(rng.choice(rng.choice([SPECIAL, SPACE, SIGNS, SIGNS, TEXTS, " ".join(TEXTS).split()])))
        if rng.random() < 0.1:
            parts.append(chr(rng.choice([rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x11000), rng.randrange(0x1F000, 0x30000)])))
        if rng.random() < 0.4:
            parts.append(" ")
    return "".join(parts)


def tokenizer(name, folder, normaliser):
    shutil.copytree(OUT / name, folder)
    if name in ("xlm_roberta", "albert"):
        path = folder / "tokenizer.json"
        changed = json.loads(path.read_text()) | {"normalizer": normaliser}
        path.write_text(json.dumps(changed))
    return AutoTokenizer.from_pretrained(folder)


def main():
    rng = random.Random(1)
    normaliser = {"type": "Precompiled", "precompiled_charsmap": charsmap()}
    lines = [normaliser]
    with tempfile.TemporaryDirectory() as scratch:
        tokenizers = {name: tokenizer(name, pathlib.Path(scratch) / name, normaliser) for name in FAMILIES}
        for i in range(PAIRS):
            query, document = text(rng), text(rng)  # in lists below: an empty document by itself is none to transformers
            left, as_text = i % 2 == 1, i % 4 > 1
            ids = {}
            for name, t in tokenizers.items():
                t.truncation_side = "left" if left else "right"
                t.split_special_tokens = as_text
                encoded = t([query], [document], truncation="longest_first", max_length=LENGTH, split_special_tokens=as_text)
                ids[name] = ids_hash(encoded["input_ids"][0])
            lines.append({"query": query, "document": document, "left": left, "as_text": as_text, "ids": ids})
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    (OUT.parent / "hostile.jsonl.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(data))
    print(len(lines) - 1, "pairs")


if __name__ == "__main__":
    main()
