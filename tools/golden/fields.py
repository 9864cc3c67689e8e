"""Makes engine/testdata/fields.json: what sentence-transformers' CrossEncoder computes when the small files beside the
weights say something else. docs/checkpoint-fields.md lists the fields.

  go run ./tools/golden/checkpoints DIR
  venv/bin/pip install -r tools/golden/requirements-fields.txt
  venv/bin/python tools/golden/fields.py DIR/random_f32 [CASE ...]

A case is a checkpoint of the tests with patches to its files, by RFC 7396 (null takes a key out). With names of cases,
those are printed and nothing is written.
"""

import copy
import hashlib
import importlib.metadata
import json
import logging
import os
import pathlib
import re
import shutil
import sys
import tempfile
import warnings

os.environ.update(TRANSFORMERS_VERBOSITY="critical", HF_HUB_OFFLINE="1", TQDM_DISABLE="1")
import torch  # noqa: E402
from sentence_transformers import CrossEncoder  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parents[1] / "engine" / "testdata"
PAIRS = [
    ("how do boats find the harbour", "The Ferry waits until the lamp on the pier is cold. Café, crew and captain!"),
    ("  two  spaces\tand a tab [SEP] <mask> x", "[CLS] 東京 boats</s> naïve ß\u3000É İÅK Ǆ "),
    (" ".join(["What is the price of a new rope for a small red boat"] * 2), " ".join(["Ice was cold in the old town house by the sea"] * 6)),
]
TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"
MODULES = [{"idx": 0, "name": "0", "path": "", "type": TRANSFORMER}]
TASK = {"transformer_task": "sequence-classification", "module_output_name": "scores"}


def saved(sentence_bert=None, model="CrossEncoder", modules=MODULES, **config):
    """The files that CrossEncoder.save_pretrained adds."""
    files = {"modules.json": modules, "sentence_bert_config.json": {**TASK, **(sentence_bert or {})}}
    return {**files, "config_sentence_transformers.json": {**({"model_type": model} if model else {}), **config}}


def tokenizer(**fields):
    return {"tokenizer_config.json": fields}


def added(content, **flags):
    off = dict.fromkeys(["lstrip", "rstrip", "single_word", "normalized"], False)
    return {"content": content, "special": False, **off, **flags}


PROMPTS = {"prompts": {"query": "find the ", "other": "x"}, "default_prompt_name": "query"}
BERT, ROBERTA, XLMR, CAMEMBERT, ELECTRA, DISTIL = "bert", "roberta", "xlm_roberta", "camembert", "electra", "distilbert"
GENERIC = {"tokenizer_class": "PreTrainedTokenizerFast"}
CASES = []


def case(name, base, files, refuse=None, pairs=PAIRS):
    """refuse: the engine refuses, with this in its message."""
    CASES.append({"name": name, "base": base, "files": files, "refuse": refuse, "pairs": pairs})


PIECES = {BERT: ["at", "old"], ROBERTA: ["he", "or"], XLMR: ["t", "ar"], CAMEMBERT: ["t", "ar"], ELECTRA: ["the", "o"], DISTIL: ["the", "o"]}
for every in BERT, ROBERTA, XLMR, CAMEMBERT, ELECTRA, DISTIL:
    case("as it is", every, {})
    one, two = PIECES[every]
    decoder = {"7": added(one), "9": added(two, lstrip=True, normalized=True)}
    case("added_tokens_decoder", every, tokenizer(added_tokens_decoder=decoder))
    case("added_tokens_decoder and generic", every, tokenizer(added_tokens_decoder=decoder, **GENERIC))
    case("added_tokens_decoder of single words", every, tokenizer(added_tokens_decoder={"7": added(one, single_word=True, rstrip=True)}))
    case("extra_special_tokens", every, tokenizer(extra_special_tokens=[one, two]))
    case("additional_special_tokens", every, tokenizer(additional_special_tokens=[one], extra_special_tokens=[]))
    case("extra_special_tokens by name", every, tokenizer(extra_special_tokens={"x_token": one}))
    case("a token by a name of its own", every, tokenizer(image_token=one))
    case("extra_special_tokens and generic, split", every, tokenizer(extra_special_tokens=[one], split_special_tokens=True, **GENERIC))
    case("added_tokens.json", every, {"added_tokens.json": {one: 7}})
    case("added_tokens in tokenizer.json", every, {"tokenizer.json": {"added_tokens": [{"id": 0, **added(one)}]}})
    case("special_tokens_map with more", every, {"special_tokens_map.json": {"additional_special_tokens": [one], "mask_token": added(two, rstrip=True)}})
    case("truncation_side left", every, tokenizer(truncation_side="left"))
    case("no tokenizer_config.json", every, {"tokenizer_config.json": None, **saved({"max_seq_length": 40})})
    case("generic tokenizer class", every, tokenizer(**GENERIC))
    case("TokenizersBackend", every, tokenizer(tokenizer_class="TokenizersBackend"))
    case("unknown tokenizer class", every, tokenizer(tokenizer_class="NoSuchTokenizer"))
    case("no tokenizer class", every, tokenizer(tokenizer_class=None))
    case("tokenizer class in config.json", every, {**tokenizer(tokenizer_class=None), "config.json": GENERIC})
    case("split_special_tokens", every, tokenizer(split_special_tokens=True))
    case("generic, with types", every, tokenizer(**GENERIC, model_input_names=["input_ids", "token_type_ids", "attention_mask"]), pairs=PAIRS[:1])
    case("padding_side left", every, tokenizer(padding_side="left"))
    case("model_max_length 16", every, tokenizer(model_max_length=16))
    case("max_len 16", every, tokenizer(model_max_length=None, max_len=16))
    case("add_bos_token false", every, tokenizer(add_bos_token=False, add_eos_token=False))
    case("truncation in tokenizer.json", every, {"tokenizer.json": {"truncation": {"direction": "Left", "max_length": 12, "strategy": "OnlySecond", "stride": 2}}})
    case("do_lower_case of sentence_bert_config", every, saved({"do_lower_case": True}))
    case("max_seq_length", every, saved({"max_seq_length": 20}))
    case("prompt", every, saved(**PROMPTS))

case("do_lower_case of sentence_bert_config, cased", BERT, {**saved({"do_lower_case": True}), **tokenizer(do_lower_case=False)})
case("do_lower_case of sentence_bert_config, cased without accents", BERT, {**saved({"do_lower_case": True}), **tokenizer(do_lower_case=False, strip_accents=True)})
LIKE_BERT = [BERT, ELECTRA, DISTIL]
for every in LIKE_BERT:
    case("do_lower_case false", every, tokenizer(do_lower_case=False))
    case("strip_accents false", every, tokenizer(strip_accents=False))
    case("strip_accents true, cased", every, tokenizer(strip_accents=True, do_lower_case=False))
    case("tokenize_chinese_chars false", every, tokenizer(tokenize_chinese_chars=False))
    case("generic with do_lower_case", every, tokenizer(**GENERIC, do_lower_case=False))
    case("normalizer in tokenizer.json", every, {"tokenizer.json": {"normalizer": {"lowercase": False}}})
    case("normalizer and generic", every, {"tokenizer.json": {"normalizer": {"lowercase": False}}, **tokenizer(**GENERIC)})
    case("normalizer null", every, {"tokenizer.json": {"normalizer": {"type": "NFC", "clean_text": None}}})
    case("pre_tokenizer in tokenizer.json", every, {"tokenizer.json": {"pre_tokenizer": {"type": "WhitespaceSplit"}}})
    case("pre_tokenizer and generic", every, {"tokenizer.json": {"pre_tokenizer": {"type": "WhitespaceSplit"}}, **tokenizer(**GENERIC)})
    case("max_input_chars_per_word", every, {"tokenizer.json": {"model": {"max_input_chars_per_word": 3}}})
    case("max_input_chars_per_word and generic", every, {"tokenizer.json": {"model": {"max_input_chars_per_word": 3}}, **tokenizer(**GENERIC)})
    case("unk_token", every, tokenizer(unk_token="[MASK]"))
    case("cls_token", every, tokenizer(cls_token="[MASK]"))
    case("sep_token", every, tokenizer(sep_token="[MASK]"))
    case("sep_token and generic", every, tokenizer(sep_token="[MASK]", **GENERIC))
    case("cls_token as an object", every, tokenizer(cls_token={"__type": "AddedToken", **added("[MASK]", special=True)}))
    case("model_input_names without types", every, tokenizer(model_input_names=["input_ids", "attention_mask"]))
    case("never_split", every, tokenizer(never_split=["boats"], do_basic_tokenize=False))
    case("special_tokens_map", every, {"special_tokens_map.json": {"sep_token": "[MASK]", "cls_token": added("[MASK]")}})
    case("special_tokens_map beside added_tokens_decoder", every, {"special_tokens_map.json": {"sep_token": "[MASK]"}, **tokenizer(added_tokens_decoder={})})
    case("ElectraTokenizer", every, tokenizer(tokenizer_class="ElectraTokenizer"))
    case("DistilBertTokenizerFast", every, tokenizer(tokenizer_class="DistilBertTokenizerFast"))
    case("post_processor in tokenizer.json", every, {"tokenizer.json": {"post_processor": {"type": "RobertaProcessing", "sep": ["[MASK]", 4], "cls": ["[MASK]", 4], "trim_offsets": True, "add_prefix_space": False}}})
for every in ROBERTA, XLMR, CAMEMBERT:
    case("add_prefix_space true", every, tokenizer(add_prefix_space=True))
    case("add_prefix_space false", every, tokenizer(add_prefix_space=False))
    case("add_prefix_space true and generic", every, tokenizer(add_prefix_space=True, **GENERIC))
    case("add_prefix_space false and generic", every, tokenizer(add_prefix_space=False, **GENERIC))
    case("sep_token", every, tokenizer(sep_token="<mask>"))
    case("cls_token", every, tokenizer(cls_token="<mask>"))
    case("bos_token", every, tokenizer(bos_token="<mask>"))
    case("eos_token", every, tokenizer(eos_token="<mask>"))
    case("unk_token", every, tokenizer(unk_token="<mask>"))
    case("normalizer in tokenizer.json", every, {"tokenizer.json": {"normalizer": {"type": "Lowercase"}}})
    case("normalizer and generic", every, {"tokenizer.json": {"normalizer": {"type": "Lowercase"}}, **tokenizer(**GENERIC)})
    case("special_tokens_map", every, {"special_tokens_map.json": {"eos_token": "<mask>", "sep_token": "<mask>"}})
    case("model_input_names with types", every, tokenizer(model_input_names=["input_ids", "token_type_ids", "attention_mask"]))
case("pre_tokenizer add_prefix_space", ROBERTA, {"tokenizer.json": {"pre_tokenizer": {"add_prefix_space": True}}})
case("pre_tokenizer add_prefix_space and generic", ROBERTA, {"tokenizer.json": {"pre_tokenizer": {"add_prefix_space": True}}, **tokenizer(**GENERIC)})
case("lstrip of mask", ROBERTA, tokenizer(mask_token={"__type": "AddedToken", **added("<mask>", lstrip=True, special=True)}))
case("Metaspace alone", XLMR, {"tokenizer.json": {"pre_tokenizer": {"type": "Metaspace", "pretokenizers": None, "replacement": "▁", "prepend_scheme": "always", "split": True}}})
case("Metaspace alone and generic", XLMR, {"tokenizer.json": {"pre_tokenizer": {"type": "Metaspace", "pretokenizers": None, "replacement": "▁", "prepend_scheme": "always", "split": True}}, **tokenizer(**GENERIC)})
case("byte fallback of XLM-R", XLMR, {"tokenizer.json": {"model": {"unk_id": 1}}})
case("one row of types", BERT, {"config.json": {"type_vocab_size": 1}}, refuse="type_vocab_size")
case("types of a template, unused", ROBERTA, {"tokenizer.json": {"post_processor": {"type": "BertProcessing", "trim_offsets": None, "add_prefix_space": None}}, **tokenizer(**GENERIC)})

# sentence-transformers
for name, more in {
    "max_seq_length over model_max_length": {"max_seq_length": 30}, "max_seq_length null": {"max_seq_length": None},
    "do_lower_case false": {"do_lower_case": False},
    "tokenizer_args": {"tokenizer_args": {"model_max_length": 20, "truncation_side": "left"}},
    "processor_kwargs": {"processor_kwargs": {"do_lower_case": False}, "max_seq_length": 18},
    "processor_kwargs win": {"processor_kwargs": {"model_max_length": 24}, "max_seq_length": 18},
    "processing_kwargs": {"processing_kwargs": {"text": {"max_length": 14}}},
    "processing_kwargs common": {"processing_kwargs": {"text": {"max_length": 14}, "common": {"max_length": 22, "truncation": True}}},
    "processing_kwargs padding": {"processing_kwargs": {"text": {"padding": "max_length", "pad_to_multiple_of": 8}}},
    "query_length": {"query_length": 8, "document_length": 8},
    "modality_config": {"modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}},
    "unpad_inputs": {"unpad_inputs": False}, "model_args": {"model_args": {"attn_implementation": "eager"}},
    "hub's arguments": {"config_kwargs": {"trust_remote_code": True}, "tokenizer_args": {"use_fast": True}},
}.items():
    files = saved(more)
    if "over" in name:
        files |= tokenizer(model_max_length=16)
    case("sentence_bert_config: " + name, BERT, files)
for name, more, why in [
    ("only_first", {"processing_kwargs": {"text": {"truncation": "only_first"}}}, "processing_kwargs.text.truncation"),
    ("no special tokens", {"processing_kwargs": {"text": {"add_special_tokens": False}}}, "processing_kwargs.text.add_special_tokens"),
    ("message", {"modality_config": {"message": {"method": "forward", "method_output_name": "logits"}}}, "modality_config"),
    ("other task", {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings"}, "transformer_task"),
    ("generation", {"transformer_task": "text-generation", "module_output_name": "causal_logits"}, "transformer_task"),
    ("output", {"module_output_name": "x", "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}}, "module_output_name"),
    ("other tokenizer", {"tokenizer_name_or_path": "bert-base-uncased"}, "tokenizer_name_or_path"),
    ("config_args", {"config_args": {"layer_norm_eps": 1}}, "config_args.layer_norm_eps"),
    ("model_args", {"model_args": {"variant": "fp16"}}, "model_args.variant"),
]:
    case("sentence_bert_config: " + name, BERT, saved(more), refuse=why)
case("prompt without a name", BERT, saved(prompts=PROMPTS["prompts"]))
case("prompt empty", BERT, saved(prompts={"query": ""}, default_prompt_name="query"))
case("prompt by a name that is not there", BERT, saved(prompts={"a": "b"}, default_prompt_name="query"), refuse="default_prompt_name")
case("prompt of an embedding model", BERT, saved(model="SentenceTransformer", **PROMPTS))
case("files of an embedding model", BERT, saved({"transformer_task": None, "max_seq_length": 16}, model=None, modules=MODULES + [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}], **PROMPTS))
case("prompt without modules.json", BERT, {k: v for k, v in saved({"max_seq_length": 16}, **PROMPTS).items() if k != "modules.json"})
case("legacy name of the Transformer", BERT, saved({"max_seq_length": 16}, modules=[{**MODULES[0], "type": "sentence_transformers.models.Transformer"}]))
case("file by an old name", ROBERTA, {k.replace("bert_config", "roberta_config"): v for k, v in saved({"max_seq_length": 16}).items()})
case("fp32 modules", BERT, saved(keep_in_fp32_modules=["0.model.classifier"]))
case("modules with Dense", BERT, saved(modules=MODULES + [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"}, {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.base.modules.dense.Dense"}]), refuse="Transformer, Pooling, Dense")
case("custom module", BERT, saved(modules=[{**MODULES[0], "type": "custom_st.Transformer"}]), refuse="custom_st.Transformer")
case("Transformer in a folder", BERT, saved(modules=[{**MODULES[0], "path": "0_Transformer"}]), refuse="0_Transformer")

# config.json
for every, files, name, why in [
    (BERT, {"hidden_dropout_prob": 0.9, "attention_probs_dropout_prob": 0.9, "classifier_dropout": 0.9}, "dropout", None),
    (BERT, {"use_cache": False, "return_dict": False, "output_attentions": True, "chunk_size_feed_forward": 1}, "outputs", None),
    (BERT, {"initializer_range": 9.0, "tie_word_embeddings": False, "gradient_checkpointing": True, "torchscript": True}, "training", None),
    (BERT, {"id2label": {"0": 7}}, "id2label with a number", None),
    (BERT, {"label2id": {"x": 3}, "finetuning_task": "x"}, "label2id", None),
    (BERT, {"problem_type": "regression"}, "problem_type", None),
    (BERT, {"problem_type": "multi_label_classification"}, "multi_label_classification", None),
    (BERT, {"pruned_heads": {}}, "no pruned heads", None),
    (BERT, {"pruned_heads": {"0": [1]}}, "pruned heads", None),
    (BERT, {"layer_norm_eps": 0.1}, "layer_norm_eps", None),
    (BERT, {"hidden_act": "relu"}, "hidden_act", None),
    (BERT, {"hidden_act": "silu"}, "other hidden_act", "hidden_act"),
    (BERT, {"position_embedding_type": "relative_key"}, "position_embedding_type", "position_embedding_type"),
    (BERT, {"is_decoder": True}, "is_decoder", "is_decoder"),
    (BERT, {"is_encoder_decoder": True}, "is_encoder_decoder", None),
    (BERT, {"add_cross_attention": True}, "add_cross_attention", "add_cross_attention"),
    (BERT, {"architectures": ["BertModel"]}, "other architectures", None),
    (BERT, {"architectures": None}, "no architectures", None),
    (BERT, {"pad_token_id": 3}, "pad_token_id", None),
    (BERT, {"torch_dtype": "float16"}, "torch_dtype", None),
    (BERT, {"auto_map": {"AutoModelForSequenceClassification": "modeling_x.X"}}, "auto_map", None),
    (BERT, {"per_layer_config": {"0": {"num_attention_heads": 2}}}, "per_layer_config", "per_layer_config"),
    (BERT, {"model_max_length": 12, "max_length": 12, "tokenizer_class": "BertTokenizer"}, "generation", None),
    (BERT, {"prefix": "x ", "bos_token_id": 3, "eos_token_id": 3, "sep_token_id": 4}, "ids", None),
    (BERT, {"attn_implementation": "eager", "_attn_implementation": "eager", "name_or_path": "x"}, "attention", None),
    (DISTIL, {"sinusoidal_pos_embds": True}, "sinusoidal positions", None),
    (DISTIL, {"activation": "relu", "qa_dropout": 0.9, "seq_classif_dropout": 0.9}, "activation", None),
    (ELECTRA, {"summary_type": "mean", "summary_activation": "relu", "summary_use_proj": False}, "summary", None),
    (ROBERTA, {"pad_token_id": 0}, "pad_token_id", "pad_token_id"),
    (ROBERTA, {"pad_token_id": 4}, "another pad_token_id", None),
]:
    case("config: " + name, every, {"config.json": files}, refuse=why)


def merge(target, patch):
    """RFC 7396"""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


def write(folder, source, files):
    shutil.copytree(source, folder)
    for name, patch in files.items():
        path = folder / name
        if patch is None:
            path.unlink()
            continue
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(merge(old, patch)))


def hash_of(ids):
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]


@torch.inference_mode()
def run(folder, pairs):
    model = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    rows = []
    for query, document in pairs:
        inputs = model[0].preprocess([(query, document)], prompt=model._resolve_prompt(None, None))
        mask = inputs["attention_mask"][0].bool()
        ids = inputs["input_ids"][0][mask].tolist()
        typed = "token_type_ids" in inputs and "token_type_ids" in model[0]._declared_forward_params
        types = inputs["token_type_ids"][0][mask].tolist() if typed else [0] * len(ids)
        logits = model.predict([(query, document)], activation_fn=torch.nn.Identity(), convert_to_tensor=True)[0]
        rows.append({
            "query": query, "document": document, "n_tokens": len(ids), "ids_sha256": hash_of(ids),
            "type_ids_sha256": hash_of(types), "logits": [float(f"{x:.7g}") for x in logits.reshape(-1).tolist()],
        })
    return rows


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    bert, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (HERE / "requirements-fields.txt").read_text(), re.M))
    for package, want in pinned.items():
        if (have := importlib.metadata.version(package)) != want:
            raise SystemExit(f"fields: {package} {have} is installed, want {want}")
    rows = []
    for each in CASES:
        if wanted and each["name"] not in wanted:
            continue
        source = bert if each["base"] == BERT else OUT / "families" / each["base"]
        with tempfile.TemporaryDirectory() as parent:
            folder = pathlib.Path(parent) / "model"
            write(folder, source, each["files"])
            row = {key: each[key] for key in ("name", "base", "files")}
            try:
                row["pairs"] = run(folder, each["pairs"])
            except Exception as e:  # noqa: BLE001: which it is is what is recorded
                row["fails"] = f"{type(e).__name__}: {e}".replace(str(folder), "model").split("\n")[0][:160]
            if each["refuse"]:
                row["refuse"] = each["refuse"]
                row.pop("pairs", None)
        rows.append(row)
        if wanted:
            print(json.dumps(row, ensure_ascii=False, indent=1))
    failed = [r for r in rows if "fails" in r and "refuse" not in r]
    for row in failed:
        print("fails:", row["base"], row["name"], row["fails"], file=sys.stderr)
    if not wanted:
        text = json.dumps({"source": pinned, "cases": rows}, ensure_ascii=False, indent=1)
        (OUT / "fields.json").write_text(text + "\n", encoding="utf-8")
    print(len(rows), "cases,", len(failed), "fail there", file=sys.stderr)


if __name__ == "__main__":
    main()
