"""Makes engine/testdata/families: a tiny random checkpoint of each family, and what transformers says of it.

  venv/bin/python tools/model/golden/families.py [FAMILY ...]

Tokenizers are trained, which gives other pieces each time: name the families that are to be made anew.
The folders are written by transformers itself, tokenizers included. Each logit is computed from the weights in the
file, widened to fp32. A mistake in any part shows: each tensor zeroed changes some logit by more than the tolerance
of the Go tests, else the script stops.

Some families are published in other layouts than those that transformers writes: functions called publish_… make them.
Heads in modules of their own are sentence-transformers' (6.2.0, which requirements.txt does not have).
"""

import hashlib
import json
import math
import pathlib
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AlbertConfig,
    AlbertTokenizer,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    CamembertConfig,
    CamembertTokenizer,
    DebertaV2Config,
    DebertaV2Tokenizer,
    DistilBertConfig,
    DistilBertTokenizer,
    ElectraConfig,
    GteConfig,
    ModernBertConfig,
    NomicBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaTokenizer,
    XLMRobertaConfig,
    XLMRobertaTokenizer,
)

OUT = pathlib.Path(__file__).resolve().parents[3] / "engine" / "testdata" / "families"
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


def unigram(cls=XLMRobertaTokenizer, special=("<s>", "<pad>", "</s>", "<unk>"), mask=(("<mask>", 0.0),)):
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=170, special_tokens=list(special), unk_token="<unk>")
    trained.train_from_iterator(TEXTS, trainer)
    vocab = [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]
    return cls(vocab=vocab + list(mask), model_max_length=LENGTH)


def albert():
    """ALBERT's pieces, with its special tokens before them."""
    return unigram(AlbertTokenizer, ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"), mask=())


def camembert():
    """The order of camembert-base, whose own <s> and </s> are not those of its SentencePiece model."""
    special = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>")
    return unigram(CamembertTokenizer, special)


def deberta_pieces():
    """DeBERTa-v3's order: special tokens first, with the score 0, and the mask last."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    trainer = trainers.UnigramTrainer(vocab_size=170, special_tokens=special, unk_token="[UNK]")
    trained.train_from_iterator(TEXTS, trainer)
    vocab = [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]
    return DebertaV2Tokenizer(vocab=vocab, model_max_length=LENGTH)


def byte_pairs_of_bert():
    """ModernBERT's tokenizer: GPT-NeoX's byte pairs with NFC, and BERT's special tokens."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.NFC()
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    trained.train_from_iterator(TEXTS, trainer)
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained, model_max_length=LENGTH, model_input_names=["input_ids", "attention_mask"],
        cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]",
    )


def edit(folder, drop=(), **changes):
    path = folder / "config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k not in drop} | changes
    path.write_text(json.dumps(config, indent=2) + "\n")


def rename(folder, f):
    path = folder / "model.safetensors"
    save_file(f(load_file(path)), path, metadata={"format": "pt"})


def publish_modernbert(folder):
    """The keys of the published configs: a period and two thetas."""
    edit(
        folder, drop=("layer_types", "rope_parameters"), global_attn_every_n_layers=2, global_rope_theta=80000.0,
        local_rope_theta=5000.0, position_embedding_type="absolute",
    )


def publish_jina(folder):
    """jina-reranker-v2: XLM-R under the names of flash-attention, and no model_type."""
    names = {
        "embeddings.LayerNorm": "emb_ln", "attention.output.dense": "mixer.out_proj",
        "attention.output.LayerNorm": "norm1", "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2",
        "output.LayerNorm": "norm2", "attention.self.query": "mixer.Wqkv", "encoder.layer.": "encoder.layers.",
    }

    def flash(tensors):
        out = {}
        for name, tensor in tensors.items():
            if "self.query" in name:
                tensor = torch.cat([tensors[name.replace("query", x)] for x in ("query", "key", "value")])
            elif ".self." in name:
                continue
            for old, new in names.items():
                name = name.replace(old, new)
            out[name] = tensor.clone()
        return out

    rename(folder, flash)
    edit(
        folder, drop=("model_type",), use_flash_attn=True, emb_pooler=None,
        auto_map={"AutoConfig": "configuration_xlm_roberta.XLMRobertaFlashConfig"},
    )


def publish_gte(folder):
    """gte-multilingual-reranker-base: the names and keys of its custom code."""
    rename(folder, lambda tensors: {k.replace("gte.", "new.", 1): v.clone() for k, v in tensors.items()})
    edit(
        folder, drop=("rope_parameters",), model_type="new", architectures=["NewForSequenceClassification"],
        rope_theta=7000.0, rope_scaling=None, pack_qkv=True, layer_norm_type="layer_norm", position_embedding_type="rope",
        auto_map={"AutoModelForSequenceClassification": "Alibaba-NLP/new-impl--modeling.NewForSequenceClassification"},
    )


class JinaFeedForward(torch.nn.Module):
    """JinaBertGLUMLP in modeling_bert.py of jinaai/jina-bert-implementation: the gate is the first half."""

    def __init__(self, config):
        super().__init__()
        self.gated_layers = torch.nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.wo = torch.nn.Linear(config.intermediate_size, config.hidden_size)
        self.layernorm = torch.nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x):
        gate, value = self.gated_layers(x).chunk(2, dim=-1)
        return self.layernorm(self.wo(torch.nn.functional.gelu(gate) * value) + x)


class JinaBert(BertForSequenceClassification):
    """transformers' BERT with JinaBERT's three differences, since transformers does not have its code: no positions, a
    gated feed-forward block, and scores that fall with distance by ALiBi, here a mask with a bias for each head."""

    def __init__(self, config):
        super().__init__(config)
        for layer in self.bert.encoder.layer:
            del layer.intermediate, layer.output
            layer.mlp = JinaFeedForward(config)
            layer.feed_forward_chunk = layer.mlp.forward
        del self.bert.embeddings.position_embeddings
        self.bert.embeddings.position_embeddings = lambda positions: 0.0
        self.post_init()

    @staticmethod
    def slopes(heads):
        """get_slopes of github.com/ofirpress/attention_with_linear_biases."""

        def powers(n):
            start = 2 ** (-(2 ** -(math.log2(n) - 3)))
            return [start * start**i for i in range(n)]

        whole = 2 ** math.floor(math.log2(heads))
        if whole == heads:
            return powers(heads)
        return powers(whole) + JinaBert.slopes(2 * whole)[0::2][: heads - whole]

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        at = torch.arange(input_ids.shape[1])
        distances = (at[:, None] - at[None, :]).abs()
        bias = -torch.tensor(self.slopes(self.config.num_attention_heads))[:, None, None] * distances
        return super().forward(input_ids, attention_mask=bias[None], token_type_ids=token_type_ids)


def publish_jina_v1(folder):
    """jina-reranker-v1-tiny-en: BERT's model_type, and custom code."""
    edit(
        folder, model_type="bert", architectures=["JinaBertForSequenceClassification"], position_embedding_type="alibi",
        feed_forward_type="geglu", emb_pooler=None, attn_implementation="torch",
        auto_map={
            "AutoModelForSequenceClassification":
            "jinaai/jina-bert-implementation--modeling_bert.JinaBertForSequenceClassification",
        },
    )


def modular(pool, inner, bias, activation, labels):
    """A head of sentence-transformers' modules: pooling, Dense, its norm, and Dense, which gives the scores."""

    def make(folder, model, tokenizer):
        from sentence_transformers import CrossEncoder
        from sentence_transformers.base.modules import Dense, Transformer
        from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

        base = folder.with_name(folder.name + "_base")
        model.save_pretrained(base)
        tokenizer.save_pretrained(base)
        width = model.config.hidden_size
        head = [
            Dense(width, inner, bias=bias, activation_function=activation),
            LayerNorm(inner),
            Dense(inner, labels, activation_function=torch.nn.Identity(), module_output_name="scores"),
        ]
        for module in head:
            randomise(module)
        modules = [Transformer(str(base)), Pooling(width, pooling_mode=pool), *head]
        CrossEncoder(modules=modules, device="cpu").save_pretrained(str(folder))
        shutil.rmtree(base)
        (folder / "README.md").unlink()
        for path in folder.rglob("*.safetensors"):
            save_file({k: v.half() for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
        return CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})

    return make


COMMON = dict(
    hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, layer_norm_eps=1e-3
)
MODERN = dict(
    hidden_size=48, intermediate_size=40, max_position_embeddings=64,
    pad_token_id=3, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2,
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
    # Every bias, an odd number of heads, a window smaller than the texts, layers that are no multiple of the period.
    "modernbert": (byte_pairs_of_bert, lambda v: ModernBertConfig(
        **MODERN, num_hidden_layers=5, num_attention_heads=3, vocab_size=v, norm_eps=1e-3, local_attention=8, num_labels=2,
        classifier_pooling="mean", norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True)),
    "modernbert_cls": (byte_pairs_of_bert, lambda v: ModernBertConfig(
        **MODERN, num_hidden_layers=4, num_attention_heads=4, vocab_size=v, local_attention=14, num_labels=1,
        global_attn_every_n_layers=2, global_rope_theta=80000.0, local_rope_theta=5000.0)),
    "ettin": (byte_pairs_of_bert, lambda v: ModernBertConfig(
        **MODERN, num_hidden_layers=3, num_attention_heads=2, vocab_size=v, local_attention=16)),
    "modular_bert": (lambda: wordpiece(BertTokenizer), lambda v: BertConfig(
        **COMMON, vocab_size=v, max_position_embeddings=64)),
    "jina_v2": (unigram, lambda v: XLMRobertaConfig(
        **COMMON, vocab_size=v, max_position_embeddings=42, type_vocab_size=1, num_labels=1)),
    "gte": (unigram, lambda v: GteConfig(
        **COMMON, vocab_size=v, max_position_embeddings=64, type_vocab_size=1, num_labels=1, pad_token_id=1,
        rope_parameters={"rope_type": "default", "rope_theta": 7000.0})),
    "nomic": (lambda: wordpiece(BertTokenizer), lambda v: NomicBertConfig(
        **COMMON, vocab_size=v, max_position_embeddings=64, num_labels=3)),
    # Relative positions as DeBERTa-v3 has them, with so few buckets that most distances share one.
    "deberta_v3": (lambda: wordpiece(BertTokenizer), lambda v: DebertaV2Config(
        **COMMON, vocab_size=v, max_position_embeddings=64, num_labels=1, relative_attention=True, pos_att_type=["p2c", "c2p"],
        position_buckets=8, share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, pooler_hidden_act="gelu")),
    # Heads that are no power of two, and RoBERTa's tokenizer, as published.
    "jina_v1": (byte_pairs, lambda v: BertConfig(
        **COMMON | {"num_attention_heads": 6}, vocab_size=v, max_position_embeddings=64, num_labels=1, pad_token_id=1)),
    # Three layers of two groups.
    "albert": (albert, lambda v: AlbertConfig(
        **COMMON | {"num_hidden_layers": 3}, vocab_size=v, embedding_size=32, max_position_embeddings=64, num_labels=1,
        num_hidden_groups=2)),
    # The other choices: a row for each distance up to 20, layers of their own for the tables, narrow embeddings with positions
    # and types, and three labels.
    "deberta_v2": (deberta_pieces, lambda v: DebertaV2Config(
        **COMMON | {"num_attention_heads": 3}, vocab_size=v, max_position_embeddings=64, num_labels=3, relative_attention=True,
        pos_att_type="c2p|p2c", max_relative_positions=20, embedding_size=32, type_vocab_size=2, pooler_hidden_act="tanh")),
}
PUBLISH = {"modernbert_cls": publish_modernbert, "jina_v1": publish_jina_v1, "jina_v2": publish_jina, "gte": publish_gte}
CLASSES = {"jina_v1": JinaBert}
MODULES = {
    "ettin": modular("cls", 48, False, torch.nn.GELU(), 1),
    "modular_bert": modular("mean", 20, True, torch.nn.Tanh(), 2),
}


def randomise(model):
    """Far from the initial values, which are too small to show anything."""
    for parameter in model.parameters():
        scale = 1.5 / parameter.shape[-1] ** 0.5 if parameter.ndim == 2 else 0.2
        centre = 1.0 if parameter.ndim == 1 and parameter.mean() > 0.5 else 0.0
        torch.nn.init.normal_(parameter, centre, scale)
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, 0, 0.7)


@torch.inference_mode()
def run(model, tokenizer):
    rows, inputs = [], []
    for query, document in PAIRS:
        encoded = tokenizer([query], [document], truncation="longest_first", max_length=LENGTH, return_tensors="pt")
        inputs.append(encoded["input_ids"][0].tolist())
        if isinstance(model, torch.nn.Sequential):  # of sentence-transformers' modules
            rows.append(model(dict(encoded))["scores"][0])
        else:
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
        auto = CLASSES.get(name, AutoModel if name in MODULES else AutoModelForSequenceClassification)
        config = make_config(len(tokenizer))
        model = auto(config) if name in CLASSES else auto.from_config(config)
        randomise(model)
        if name in MODULES:
            model = MODULES[name](folder, model, tokenizer)
        else:
            model.half().save_pretrained(folder)
            model, info = auto.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
            )
            if any(info.values()):
                raise SystemExit(f"families: {name}: {info}")
        if name in PUBLISH:
            PUBLISH[name](folder)
        model.eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        want, inputs = run(model, tokenizer)
        least = ("", 1e9)
        for tensor_name, tensor in model.state_dict().items():
            # It adds the same to all scores of a query.
            if tensor_name.endswith(("key.bias", "k_lin.bias", "k_proj.bias", "pos_key_proj.bias")):
                continue
            if name in MODULES and ".pooler." in tensor_name:  # their pooling is a module
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
