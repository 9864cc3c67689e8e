"""Makes engine/testdata/padding.json: transformers' logits of texts that have padding tokens in them.

  venv/bin/python tools/model/golden/padding.py

A RoBERTa gives such a token the position of padding, and a decoder with a head of its own takes its score before those at the
end. The checkpoints are those that families.py and decoders.py made.
"""

import json

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from families import LENGTH, OUT, ids_hash

PAIRS = [
    ("a <pad> b", "c <pad> d <pad>"), ("<pad>", "<pad><pad>"), ("ferry <unk> flag", "the <mask> flag<pad>"),
    ("<pad> " * 30 + "crates", "<pad>" + " mole" * 40),
]


@torch.inference_mode()
def main():
    out = {"encoders": {}, "decoders": {}}
    for name in ("roberta", "xlm_roberta", "camembert", "qwen3_seqcls", "qwen2_seqcls"):
        model = AutoModelForSequenceClassification.from_pretrained(OUT / name, dtype=torch.float32, attn_implementation="eager")
        run = lambda ids: [float(f"{x:.7g}") for x in model.eval()(input_ids=torch.tensor([ids])).logits[0].tolist()]
        if name.startswith("qwen"):
            pad = model.config.pad_token_id
            inputs = [[7, 8, 9, pad], [7, pad, 9, pad, pad, pad], [pad, pad], [pad], [40, 41, pad, 42]]
            out["decoders"][name] = [{"ids": ids, "logits": run(ids)} for ids in inputs]
            continue
        tokenizer = AutoTokenizer.from_pretrained(OUT / name)
        rows = out["encoders"][name] = []
        for q, d in PAIRS:
            ids = tokenizer([q], [d], truncation="longest_first", max_length=LENGTH)["input_ids"][0]
            rows.append({"query": q, "document": d, "n_tokens": len(ids), "ids_sha256": ids_hash(ids), "logits": run(ids)})
    (OUT.parent / "padding.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
