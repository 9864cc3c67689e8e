"""Makes the goldens in engine/testdata and weights/builtin: what transformers says of our pairs. README.md says how.

Each result is made here, by the pinned versions, and checked in a second way where there is one:
  token ids       the tokenizers library alone, and the assembly that the engine makes
  weights         every tensor of the files against the loaded model
  random models   one tensor zeroed, another activation, another epsilon: each shows in the logits
"""

import argparse
import base64
import hashlib
import importlib.metadata
import json
import pathlib
import re

import torch
import zstandard
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import pairs
import varied

HERE = pathlib.Path(__file__).resolve().parent
COMPUTE = "weights widened to fp32; fp32 compute; eager attention; batch 1"
# Ten times the difference that the Go tests allow between their logits and these.
VISIBLE = 1e-3


def versions():
    """The pinned versions, after making sure that they are the ones in use."""
    pinned = dict(re.findall(r"^(\w+)==(\S+)$", (HERE / "requirements.txt").read_text(), re.M))
    for package, want in pinned.items():
        have = importlib.metadata.version(package)
        if have != want:
            raise SystemExit(f"golden: {package} {have} is installed, want {want}")
    return pinned


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def hash_of(ids):
    """16 hex digits that stand for a list of numbers; none for an empty list."""
    return sha256(",".join(map(str, ids)).encode())[:16] if ids else ""


def write_json(path, value):
    """UTF-8 as it is where it can be seen, escaped where it cannot."""
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    seen = (c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)
    path.write_text("".join(seen), encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes")


class PairTokenizer:
    """Encodes pairs as transformers does, and insists that two other ways agree."""

    def __init__(self, folder):
        self.auto = AutoTokenizer.from_pretrained(folder)
        self.raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.raw.no_padding()
        self.cls, self.sep = self.auto.cls_token_id, self.auto.sep_token_id

    def whole(self, text):
        """The ids of one text: no special tokens, no truncation."""
        self.raw.no_truncation()
        return self.raw.encode(text, add_special_tokens=False).ids

    def encode(self, query, document, max_length, parts):
        """(ids, type ids) of the pair. parts are the whole ids of both."""
        # A batch of one: given two strings, transformers takes "" for no document, and no [SEP].
        encoded = self.auto([query], [document], truncation="longest_first", max_length=max_length)
        ids, types = encoded["input_ids"][0], encoded["token_type_ids"][0]

        self.raw.enable_truncation(max_length, strategy="longest_first")
        raw = self.raw.encode(query, document)
        a, b = kept(len(parts[0]), len(parts[1]), max_length)
        query_side = [self.cls, *parts[0][:a], self.sep]
        document_side = [*parts[1][:b], self.sep]
        assembled = query_side + document_side, [0] * (a + 2) + [1] * (b + 1)
        if not (ids, types) == (raw.ids, raw.type_ids) == assembled:
            raise SystemExit(f"golden: three ways to tokenise disagree: {query!r}, {document!r}")
        return ids, types


def kept(a, b, max_length):
    """How much of a and b tokens longest_first keeps."""
    room = max_length - 3
    if a + b <= room:
        return a, b
    shorter = room // 2
    if a <= b:
        return (a, room - a) if a <= shorter else (shorter, room - shorter)
    return (room - b, b) if b <= shorter else (room - shorter, shorter)


def load(folder):
    """The model with fp32 weights, each of which is the one in the files."""
    model, info = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    if any(info.values()):
        raise SystemExit(f"golden: {folder}: {info}")
    # transformers 5 adds a missing "bert." name by name, so classifier.weight finds its place even
    # in a file without the prefix. Earlier versions did not, so this is checked.
    state = model.state_dict()
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in load_file(path).items():
            if name.endswith("embeddings.position_ids"):
                continue  # 0, 1, 2, …: no weight
            loaded = state.pop(name if name in state else "bert." + name)
            if loaded.dtype != torch.float32 or not torch.equal(loaded, tensor.float()):
                raise SystemExit(f"golden: {folder}: {name} is not what the file has")
    if state:
        raise SystemExit(f"golden: {folder}: not in the files: {list(state)}")
    return model.eval()


@torch.inference_mode()
def logits(model, encoded):
    """[len(encoded), Labels], one forward pass each: no padding."""
    rows = [
        model(
            input_ids=torch.tensor([ids]),
            token_type_ids=torch.tensor([types]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        ).logits[0]
        for ids, types in encoded
    ]
    return torch.stack(rows)


def seven_digits(x):
    return float(f"{float(x):.7g}")


def minilm(out, source, folder, tokenizer, recorded):
    """goldens.json, beside the embedded model"""
    model = load(folder)
    encoded = [
        tokenizer.encode(q, d, 512, (tokenizer.whole(q), tokenizer.whole(d)))
        for q, d in pairs.MINILM
    ]
    result = logits(model, encoded)
    rows = [
        {
            "query": query,
            "document": document,
            "n_tokens": len(ids),
            "ids_sha256": hash_of(ids),
            "logit": seven_digits(row[0]),
        }
        for (query, document), (ids, _), row in zip(pairs.MINILM, encoded, result, strict=True)
    ]
    if recorded:
        compare(rows, json.loads(recorded.read_text(encoding="utf-8"))["pairs"])
    exact = logits(model.double(), encoded)
    print(f"minilm: fp32 is within {(result - exact).abs().max():.1e} of fp64")
    write_json(
        out / "goldens.json",
        {
            "source": source,
            "model": f"model.safetensors ({COMPUTE})",
            "tokenizer": "pair encoding, max_length 512, longest_first truncation",
            "sha256": sha256((folder / "model.safetensors").read_bytes()),
            "pairs": rows,
        },
    )


def compare(rows, recorded):
    """Says how far rows are from an earlier run's; only logits may differ at all."""
    same = [{**row, "logit": 0} for row in rows] == [{**row, "logit": 0} for row in recorded]
    if not same:
        raise SystemExit("golden: the recorded goldens are of other texts or other tokens")
    far = max(abs(row["logit"] - old["logit"]) for row, old in zip(rows, recorded, strict=True))
    equal = sum(row == old for row, old in zip(rows, recorded, strict=True))
    print(f"minilm: max difference from the recorded {far:.1e}; {equal} of {len(rows)} equal")


def random_models(out, source, checkpoints):
    """goldens_random.json"""
    models = []
    for folder in sorted(p for p in checkpoints.iterdir() if (p / "config.json").exists()):
        tokenizer = PairTokenizer(folder)
        model = load(folder)
        # As sentence-transformers chooses it.
        limit = min(tokenizer.auto.model_max_length, model.config.max_position_embeddings)
        parts = [(tokenizer.whole(q), tokenizer.whole(d)) for q, d in pairs.RANDOM]
        encoded = [
            tokenizer.encode(*pair, limit, p) for pair, p in zip(pairs.RANDOM, parts, strict=True)
        ]
        result = logits(model, encoded)
        cut = sum(len(a) + len(b) > limit - 3 for a, b in parts)
        spread = (result.max(0).values - result.min(0).values).tolist()
        print(f"{folder.name}: max_length {limit}, {cut} of {len(parts)} pairs truncated")
        print(f"{folder.name}: logits vary by {[round(x, 2) for x in spread]}")
        check_visible(folder.name, model, encoded, result)
        models.append(
            {
                "name": folder.name,
                "files": {p.name: sha256(p.read_bytes()) for p in sorted(folder.iterdir())},
                "max_length": limit,
                "pairs": [
                    {
                        "query": query,
                        "document": document,
                        "n_tokens": len(ids),
                        "ids_sha256": hash_of(ids),
                        "type_ids_sha256": hash_of(types),
                        "logits": [seven_digits(x) for x in row],
                    }
                    for (query, document), (ids, types), row in zip(
                        pairs.RANDOM, encoded, result, strict=True
                    )
                ],
            }
        )
    write_json(out / "goldens_random.json", {"source": source, "model": COMPUTE, "models": models})


def check_visible(name, model, encoded, want):
    """Makes sure that a forward pass with one mistake in it would not pass for the right one."""
    if (want.max(0).values - want.min(0).values).min() < 0.3:
        raise SystemExit(f"golden: {name}: all pairs have much the same logits")
    effects = {}
    for tensor_name, tensor in model.state_dict().items():
        if tensor_name.endswith("key.bias"):
            continue  # adds the same to all scores of a query, which softmax takes out again
        saved = tensor.clone()
        tensor.zero_()
        effects["without " + tensor_name] = logits(model, encoded)
        tensor.copy_(saved)

    norms = [m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)]
    eps = norms[0].eps
    if eps != 1e-12:
        for norm in norms:
            norm.eps = 1e-12
        effects["eps 1e-12"] = logits(model, encoded)
        for norm in norms:
            norm.eps = eps

    layers = model.bert.encoder.layer
    right = layers[0].intermediate.intermediate_act_fn
    for other, fn in {
        "gelu": torch.nn.GELU(),
        "gelu_new": torch.nn.GELU(approximate="tanh"),
        "relu": torch.nn.ReLU(),
    }.items():
        if other != model.config.hidden_act:
            for layer in layers:
                layer.intermediate.intermediate_act_fn = fn
            effects["activation " + other] = logits(model, encoded)
    for layer in layers:
        layer.intermediate.intermediate_act_fn = right

    effects = {mistake: float((got - want).abs().max()) for mistake, got in effects.items()}
    print(f"{name}: the mistakes that show least:")
    for mistake, effect in sorted(effects.items(), key=lambda x: x[1])[:5]:
        print(f"   {effect:.1e} {mistake}")
        if effect < VISIBLE:
            raise SystemExit(f"golden: {name}: {mistake} hardly shows")
    if not torch.equal(logits(model, encoded), want):
        raise SystemExit("golden: BUG: a mistake was left in the model")
    exact = logits(model.double(), encoded)
    print(f"{name}: fp32 is within {(want - exact).abs().max():.1e} of fp64")


def tokenised(tokenizer, query, document):
    """What the token goldens say of a pair. Where it is beyond transformers, 0 tokens, no hash."""
    parts = tokenizer.whole(query), tokenizer.whole(document)
    encoded = []
    for n in varied.LENGTHS:
        lengths = [len(p) for p in parts]
        pieces = [x / max(1, y) for x, y in zip(lengths, kept(*lengths, n), strict=True)]
        # varied.MOST says why; memory goes by the tokens in all combinations of pieces.
        possible = pieces[0] * pieces[1] * n <= varied.MOST / (2 * 3) * 8
        encoded.append(tokenizer.encode(query, document, n, parts) if possible else ([], []))
    return {
        "query_tokens": len(parts[0]),
        "document_tokens": len(parts[1]),
        "n_tokens": [len(ids) for ids, _ in encoded],
        "ids_sha256": [hash_of(ids) for ids, _ in encoded],
        "type_ids_sha256": [hash_of(types) for _, types in encoded],
    }


def tokens(out, source, folder, tokenizer):
    """tokens.jsonl.zst: one header, then one line for each pair."""
    for word in varied.SINGLES:
        if len(tokenizer.whole(word)) != 1:
            raise SystemExit(f"golden: varied.SINGLES: {word!r} is not one token")
    texts = varied.varied(lambda text: len(tokenizer.whole(text))) + varied.long_texts()
    rows = [
        {"kind": kind, "query": q, "document": d, **tokenised(tokenizer, q, d)}
        for kind, q, d in texts
    ]
    for kind, row in ((r["kind"], r) for r in rows if r["kind"].startswith("exact")):
        if kind != f"exact {row['query_tokens']} {row['document_tokens']}":
            raise SystemExit(f"golden: {kind} has other lengths")
    report(rows)

    header = {
        "source": source,
        "tokenizer_sha256": sha256((folder / "tokenizer.json").read_bytes()),
        "max_length": varied.LENGTHS,
        "entries": len(rows),
    }
    lines = [json.dumps(x, ensure_ascii=False, separators=(",", ":")) for x in [header, *rows]]
    raw = ("\n".join(lines) + "\n").encode()
    path = out / "tokens.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor(level=19, write_checksum=True).compress(raw))
    print(f"{path.name}: {path.stat().st_size} bytes of {len(raw)}")


def report(rows):
    """Says how often truncation has something to do."""
    different = {(r["query"], r["document"]) for r in rows}
    print(f"tokens: {len(rows)} pairs, {len(different)} different")
    for i, n in enumerate(varied.LENGTHS):
        room = n - 3
        sides = [(r["query_tokens"], r["document_tokens"]) for r in rows if r["n_tokens"][i]]
        over = [(a, b) for a, b in sides if a + b > room]
        both = [(a, b) for a, b in over if min(a, b) > room // 2]
        print(f"   max_length {n}: {len(sides)} pairs, {len(over)} truncated, {len(both)} on both")
        orders = [sum(a < b for a, b in both), sum(a == b for a, b in both)]
        print(f"      sides: query shorter {orders[0]}, equal {orders[1]}, longer the rest")


def clean(data):
    """The text that the engine takes bytes for: NUL is U+FFFD, and so is each run of invalid bytes
    (Go's strings.ToValidUTF8). Python's own "replace" makes more than one of some runs."""
    text = data.decode("utf-8", errors="surrogateescape")
    return re.sub("[\udc80-\udcff]+", "\ufffd", text).replace("\x00", "\ufffd")


def edge(out, source, folder, tokenizer):
    """tokens_edge.json"""
    rows = []
    for query, document in pairs.EDGE:
        q, d = clean(query), clean(document)
        rows.append(
            {
                "query_base64": base64.b64encode(query).decode(),
                "document_base64": base64.b64encode(document).decode(),
                "query": q,
                "document": d,
                **tokenised(tokenizer, q, d),
            }
        )
    write_json(
        out / "tokens_edge.json",
        {
            "source": source,
            "tokenizer_sha256": sha256((folder / "tokenizer.json").read_bytes()),
            "max_length": varied.LENGTHS,
            "pairs": rows,
        },
    )


def main():
    folder = pathlib.Path
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", type=folder, required=True, help="the embedded model, unpacked")
    add("--checkpoints", type=folder, required=True, help="the folder of the random ones")
    add("--out", type=folder, default=HERE.parents[2] / "engine" / "testdata")
    add("--builtin", type=folder, default=HERE.parents[2] / "weights" / "builtin")
    add("--recorded", type=pathlib.Path, help="an earlier goldens.json of the embedded model to compare with")
    args = parser.parse_args()

    source = versions()
    torch.set_num_threads(2)  # the last digit of a sum depends on it
    for place in args.out, args.builtin:
        place.mkdir(parents=True, exist_ok=True)
    tokenizer = PairTokenizer(args.model)
    minilm(args.builtin, source, args.model, tokenizer, args.recorded)
    random_models(args.out, source, args.checkpoints)
    edge(args.out, source, args.model, tokenizer)
    tokens(args.out, source, args.model, tokenizer)


if __name__ == "__main__":
    main()
