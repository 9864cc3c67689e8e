"""Makes engine/testdata/fields.json: what sentence-transformers' CrossEncoder computes when the small files beside the
weights say something else. docs/checkpoint-fields.md lists the fields.

  go run ./tools/model/golden/checkpoints DIR
  venv/bin/pip install -r tools/model/golden/requirements-fields.txt
  venv/bin/python tools/model/golden/fields.py DIR/random_f32 [CASE ...]

A case is a checkpoint of the tests with patches to its files, by RFC 7396 (null takes a key out), or with whole texts.
With names of cases, those are printed and nothing is written.
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
OUT = HERE.parents[2] / "engine" / "testdata"
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
DEBERTA = "deberta_v2"
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
    case("model_specific_special_tokens", every, tokenizer(model_specific_special_tokens={"x_token": one}))
    case("defaults of calls", every, tokenizer(max_length=12, stride=3, truncation_strategy="only_second", pad_to_multiple_of=8, pad_token_type_id=1, padding="max_length", errors="strict", trim_offsets=False))
    case("attributes", every, tokenizer(backend="x", is_local=True, local_files_only=True, name_or_path="x", verbose=True, clean_up_tokenization_spaces=True, clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output=True, response_schema={}, response_template="x", chat_control_tokens=["he"], files_loaded=["x"], init_inputs=[], vocab_file="x", merges_file="x", use_fast=False, legacy=False, sp_model_kwargs={}, keep_accents=True, remove_space=True, unk_id=1, fix_mistral_regex=True, my_own=7))
    case("auto_map of the tokenizer", every, tokenizer(auto_map={"AutoTokenizer": ["tokenization_x.X", None]}))
    case("fast_tokenizer_files", every, tokenizer(fast_tokenizer_files=["tokenizer.json"]))
    case("tokenizer.json's padding, decoder, version", every, {"tokenizer.json": {"version": "1.0", "padding": {"strategy": {"Fixed": 40}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 3, "pad_type_id": 0, "pad_token": "he"}, "decoder": None}})
    case("saved with a chat template", every, saved() | tokenizer(chat_template="{{ messages[0].content }}"))
    case("chat template", every, tokenizer(chat_template="{{ messages[0].content }} at"), refuse="chat_template")
    case("chat template of its own file", every, {"chat_template.jinja": "{{ messages[0].content }} at"}, refuse="chat_template.jinja")
    case("pad_token", every, tokenizer(pad_token=one))
    case("init_inputs", every, tokenizer(init_inputs=[{}]), refuse="init_inputs")
    case("processor_class", every, tokenizer(processor_class="XProcessor"), refuse="processor_class")
    case("other fast_tokenizer_files", every, tokenizer(fast_tokenizer_files=["tokenizer.4.0.0.json"]), refuse="fast_tokenizer_files")
    case("truncation_side up", every, tokenizer(truncation_side="up"), refuse="truncation_side")
    case("an adapter", every, {"adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "x/y"}}, refuse="adapter_config.json")

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
    case("special_tokens_map", every, {"special_tokens_map.json": {"bos_token": "<s>", "eos_token": "<mask>", "sep_token": "<mask>"}})
    case("model_input_names with types", every, tokenizer(model_input_names=["input_ids", "token_type_ids", "attention_mask"]))
case("pre_tokenizer add_prefix_space", ROBERTA, {"tokenizer.json": {"pre_tokenizer": {"add_prefix_space": True}}})
case("pre_tokenizer add_prefix_space and generic", ROBERTA, {"tokenizer.json": {"pre_tokenizer": {"add_prefix_space": True}}, **tokenizer(**GENERIC)})
case("lstrip of mask", ROBERTA, tokenizer(mask_token={"__type": "AddedToken", **added("<mask>", lstrip=True, special=True)}))
case("Metaspace alone", XLMR, {"tokenizer.json": {"pre_tokenizer": {"type": "Metaspace", "pretokenizers": None, "replacement": "▁", "prepend_scheme": "always", "split": True}}})
case("Metaspace alone and generic", XLMR, {"tokenizer.json": {"pre_tokenizer": {"type": "Metaspace", "pretokenizers": None, "replacement": "▁", "prepend_scheme": "always", "split": True}}, **tokenizer(**GENERIC)})
case("byte fallback of XLM-R", XLMR, {"tokenizer.json": {"model": {"unk_id": 1}}})
case("dropout of merges", ROBERTA, {"tokenizer.json": {"model": {"dropout": 0.5}}})
case("dropout of merges and generic", ROBERTA, {"tokenizer.json": {"model": {"dropout": 0.5}}, **tokenizer(**GENERIC)}, refuse="dropout")
case("BPE's other fields", ROBERTA, {"tokenizer.json": {"model": {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "ignore_merges": True, "continuing_subword_prefix": "@", "end_of_word_suffix": "he"}}})
case("BPE's other fields and generic", ROBERTA, {"tokenizer.json": {"model": {"unk_token": "<unk>", "fuse_unk": True, "ignore_merges": True}}, **tokenizer(**GENERIC)})
case("byte fallback", XLMR, {"tokenizer.json": {"model": {"byte_fallback": True}}})
case("merges", ROBERTA, {"tokenizer.json": {"model": {"merges": []}}})
case("vocab", BERT, {"tokenizer.json": {"model": {"vocab": {"at": 9}}}})
case("another type of model", BERT, {"tokenizer.json": {"model": {"type": "WordLevel"}}}, refuse="WordLevel")
case("another tokenizer class", XLMR, tokenizer(tokenizer_class="LlamaTokenizer"), refuse="tokenizer_class")
case("continuing_subword_prefix", BERT, {"tokenizer.json": {"model": {"continuing_subword_prefix": "a"}}})
case("continuing_subword_prefix and generic", BERT, {"tokenizer.json": {"model": {"continuing_subword_prefix": "a"}}, **tokenizer(**GENERIC)})
case("arguments that transformers overwrites", BERT, tokenizer(vocab={"x": 0}, merges=["x y"], tokenizer_file="x", tokenizer="x", _commit_hash="x"))
case("arguments that transformers overwrites, generic", BERT, tokenizer(**GENERIC, vocab={"x": 0}, merges=["x y"], tokenizer_file="x", tokenizer="x", _commit_hash="x"))
for key, value in {
    "tokenizer_object": {}, "tokenizer_truncation": {"max_length": 9}, "_json_truncation": {"max_length": 9}, "tokenizer_padding": {}, "_json_padding": {}, "post_processor": {},
    "gguf_file": "x.gguf", "_spm_precompiled_charsmap": "AAAA",
}.items():
    case("an argument of transformers' own: " + key, BERT, tokenizer(**{key: value}), refuse=key)
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
    "config_kwargs": {"config_kwargs": {"revision": "main"}, "model_kwargs": {"dtype": "float32"}},
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
    ("config_kwargs", {"config_kwargs": {"layer_norm_eps": 1}}, "config_kwargs.layer_norm_eps"),
    ("model_kwargs", {"model_kwargs": {"variant": "fp16"}}, "model_kwargs.variant"),
]:
    case("sentence_bert_config: " + name, BERT, saved(more), refuse=why)
case("sentence_bert_config: query_expansion", BERT, saved({"query_expansion": None, "backend": None}))
case("config_sentence_transformers: other keys", BERT, saved(similarity_fn_name="cosine", truncate_dim=3, requirements={"transformers": ">=4"}, __version__={"sentence_transformers": "6.2.0", "transformers": "5.24.0", "pytorch": "2.15.0"}))
case("files without model_type", BERT, saved({"transformer_task": None, "max_seq_length": 16}, model=None, **PROMPTS))
case("modules.json: other keys", BERT, saved(modules=[{**MODULES[0], "idx": 7, "name": "x", "kwargs": ["task"]}]))
IDENTITY = "torch.nn.modules.linear.Identity"
case("config_sentence_transformers: activation_fn", BERT, saved(activation_fn=IDENTITY))
case("config_sentence_transformers: activation_fn null", BERT, saved(activation_fn=None) | {"config.json": {"sentence_transformers": {"activation_fn": IDENTITY}}})
case("config_sentence_transformers: activation_fn and another", BERT, saved(activation_fn="torch.nn.modules.activation.Tanh") | {"config.json": {"sentence_transformers": {"activation_fn": IDENTITY}}})
case("config_sentence_transformers: activation_fn of its own", BERT, saved(activation_fn="my.own") | {"config.json": {"sentence_transformers": {"activation_fn": IDENTITY}}})
case("prompt without a name", BERT, saved(prompts=PROMPTS["prompts"]))
case("prompt empty", BERT, saved(prompts={"query": ""}, default_prompt_name="query"))
case("prompt by a name that is not there", BERT, saved(prompts={"a": "b"}, default_prompt_name="query"), refuse="default_prompt_name")
case("prompt of an embedding model", BERT, saved(model="SentenceTransformer", **PROMPTS))
case("files of an embedding model", BERT, saved({"transformer_task": None, "max_seq_length": 16}, model=None, modules=MODULES + [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}], **PROMPTS))
case("prompt without modules.json", BERT, {k: v for k, v in saved({"max_seq_length": 16}, **PROMPTS).items() if k != "modules.json"})
case("legacy name of the Transformer", BERT, saved({"max_seq_length": 16}, modules=[{**MODULES[0], "type": "sentence_transformers.models.Transformer"}]))
case("file by an old name", ROBERTA, {k.replace("bert_config", "roberta_config"): v for k, v in saved({"max_seq_length": 16}).items()})
case("fp32 modules", BERT, saved(keep_in_fp32_modules=["0.model.classifier"]))
case("modules with Dense", BERT, saved(modules=MODULES + [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"}, {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.base.modules.dense.Dense"}]), refuse="1_Pooling/config.json")
case("custom module", BERT, saved(modules=[{**MODULES[0], "type": "custom_st.Transformer"}]), refuse="custom_st.Transformer")
case("Transformer in a folder", BERT, saved(modules=[{**MODULES[0], "path": "0_Transformer"}]), refuse="0_Transformer")

HOSTILE = PAIRS + [
    (" leading\u00a0and\u3000\u3000trailing \t", "\u2028\u0085 a\r\nb\u000bc \u200b\ufeff d \u1680"),
    ("\u2581 \u2581under \u2581", "...!?a,b;c[SEP]d [MASK]e\u0301 e\u0301\u0327 \ufb01 \u212b \u1100\u1161"),
    ("\U0001f469\u200d\U0001f469\u200d\U0001f467 \u05d0\u05b0 \u0e2a\u0e33", "\u0130\u0131 \u03a3\u03c3\u03c2 \u1e9e STRASSE \u01c4"),
    ("   ", "\n"), ("[CLS][PAD] [UNK]", "\ufffd\u0001\u007f\ue000"),
]
for name, fields in {
    "as it is, hostile": {}, "do_lower_case": {"do_lower_case": True}, "do_lower_case null": {"do_lower_case": None},
    "split_by_punct": {"split_by_punct": True}, "both": {"do_lower_case": True, "split_by_punct": True},
    "no prefix": {"add_prefix_space": False}, "prefix null": {"add_prefix_space": None},
    "no prefix, split_by_punct": {"add_prefix_space": False, "split_by_punct": True},
    "unk_id that is not needed": {"unk_id": 7}, "unk_token with a score, unk_id": {"unk_token": "t", "unk_id": 7},
    "unk_token with a score": {"unk_token": "t", "unk_id": None}, "unk_token as cls_token": {"unk_token": "[CLS]"},
    "cls_token": {"cls_token": "[MASK]"}, "sep_token": {"sep_token": "[MASK]"}, "sep_token as eos_token": {"eos_token": "[MASK]"},
    "generic": GENERIC, "class of before": {"tokenizer_class": "DebertaV2TokenizerFast"}, "no class": {"tokenizer_class": None},
    "without types": {"model_input_names": ["input_ids", "attention_mask"]}, "vocab_type": {"vocab_type": "spm", "sp_model_kwargs": {}},
    "strip_accents": {"strip_accents": True, "tokenize_chinese_chars": False},
}.items():
    case("deberta: " + name, DEBERTA, tokenizer(**fields), pairs=HOSTILE)
case("deberta: do_lower_case of sentence_bert_config", DEBERTA, saved({"do_lower_case": True}), pairs=HOSTILE)
case("deberta: its own normalizer", DEBERTA, {"tokenizer.json": {"normalizer": {"type": "NFKC", "normalizers": None}}}, pairs=HOSTILE)
case("deberta: its own unk_id", DEBERTA, {"tokenizer.json": {"model": {"unk_id": 0}}}, pairs=HOSTILE)
case("deberta: [UNK] in the normal form", DEBERTA, tokenizer(added_tokens_decoder={"3": added("[UNK]", special=True, normalized=True), "7": added("a", normalized=True)}), pairs=HOSTILE)
case("deberta: tokenizer of BERT", DEBERTA, tokenizer(tokenizer_class="BertTokenizer"), refuse="model: type")
case("deberta: WordPiece", DEBERTA, {"tokenizer.json": {"model": {"type": "WordPiece"}}}, refuse="model: type")
case("deberta: split_by_punct as text", DEBERTA, tokenizer(split_by_punct="yes"), refuse="split_by_punct")
case("deberta: unk_id as text", DEBERTA, tokenizer(unk_token="t", unk_id="3"), refuse="unk_id")

# Without a table, the model ignores the types that it is given.
case("config: type_vocab_size 0", DEBERTA, {"config.json": {"type_vocab_size": 0}, **tokenizer(model_input_names=["input_ids", "attention_mask"])})

# config.json
for every, files, name, why in [
    (DEBERTA, {"pos_att_type": "c2p | p2c", "position_buckets": -1, "max_relative_positions": 20}, "pos_att_type as text", None),
    (DEBERTA, {"pos_att_type": ["p2c"]}, "pos_att_type p2c", None),
    (DEBERTA, {"pos_att_type": ["c2p"]}, "pos_att_type c2p", None),
    (DEBERTA, {"pos_att_type": []}, "no pos_att_type", None),
    (DEBERTA, {"pos_att_type": ["c2p", "p2p"]}, "pos_att_type p2p", "pos_att_type"),
    (DEBERTA, {"share_att_key": True}, "share_att_key", None),
    (DEBERTA, {"position_buckets": 20, "max_relative_positions": 64}, "position_buckets", None),
    (DEBERTA, {"position_buckets": 20, "max_relative_positions": 8}, "position_buckets beyond max_relative_positions", "position_buckets"),
    (DEBERTA, {"max_relative_positions": -1}, "max_relative_positions", "rel_embeddings"),
    (DEBERTA, {"relative_attention": False}, "no relative_attention", "relative_attention"),
    (DEBERTA, {"relative_attention": False, "pos_att_type": None}, "no relative_attention and no pos_att_type", None),
    (DEBERTA, {"position_biased_input": False}, "position_biased_input", None),
    (DEBERTA, {"norm_rel_ebd": "layer_norm"}, "norm_rel_ebd", "LayerNorm"),
    (DEBERTA, {"norm_rel_ebd": "no_layer_norm | x"}, "norm_rel_ebd of another name", None),
    (DEBERTA, {"conv_kernel_size": 3, "conv_act": "gelu", "conv_groups": 1}, "conv_kernel_size", "conv_kernel_size"),
    (DEBERTA, {"conv_kernel_size": 0}, "conv_kernel_size 0", None),
    (DEBERTA, {"embedding_size": 48}, "embedding_size", "word_embeddings"),
    (DEBERTA, {"pooler_hidden_act": "relu", "pooler_dropout": 0.5, "cls_dropout": 0.5}, "pooler_hidden_act", None),
    (DEBERTA, {"pooler_hidden_act": "mish"}, "other pooler_hidden_act", "pooler_hidden_act"),
    (DEBERTA, {"pooler_hidden_size": 40}, "pooler_hidden_size", "pooler_hidden_size"),
    (DEBERTA, {"attention_head_size": 8}, "attention_head_size", "attention_head_size"),
    (DEBERTA, {"legacy": False, "hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5, "pad_token_id": 4}, "legacy", None),
    (DEBERTA, {"layer_norm_eps": 0.1}, "layer_norm_eps", None),
    (DEBERTA, {"num_attention_heads": 6}, "num_attention_heads", None),
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
    (BERT, {"architectures": None, "id2label": None, "label2id": None}, "no labels", None),
    (BERT, {"num_labels": 3}, "num_labels beside id2label", "classifier"),
    (BERT, {"id2label": None, "label2id": None, "num_labels": 1}, "num_labels", None),
    (BERT, {"id2label": {"0": "no", "1": "yes"}, "num_labels": 1}, "num_labels beside another id2label", None),
    (BERT, {"dtype": "float32", "transformers_version": "9.9.9", "_commit_hash": "x", "output_hidden_states": True}, "dtype", None),
    (BERT, {"temperature": 2.0, "repetition_penalty": 3.0, "num_beams": 4}, "parameters of generation", None),
    (BERT, {"fusion_config": None, "experts_implementation": None, "rope_theta": 7.0, "tie_last_hidden_states": True}, "other models' fields", None),
    (BERT, {"sentence_transformers": {"version": "6.2.0", "activation_fn": "torch.nn.modules.linear.Identity"}}, "activation_fn", None),
    (BERT, {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "activation_fn of old", None),
    (BERT, {"sbert_ce_default_activation_function": "torch.nn.modules.activation.SELU"}, "another activation_fn", "SELU"),
    (BERT, {"sbert_ce_default_activation_function": "my.own"}, "an activation_fn of its own", "my.own"),
    (BERT, {"model_type": "mpnet"}, "another family", "mpnet"),
    (BERT, {"configuration_files": ["config.json"]}, "configuration_files", None),
    (BERT, {"configuration_files": ["config.4.0.0.json"]}, "other configuration_files", "configuration_files"),
    (BERT, {"transformers_weights": "other.safetensors"}, "transformers_weights", "transformers_weights"),
    (BERT, {"processor_class": "XProcessor"}, "processor_class", "processor_class"),
    (BERT, {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, "quantization_config", "quant_method"),
    (BERT, {"max_position_embeddings": 100}, "max_position_embeddings", "position_embeddings"),
    (BERT, {"vocab_size": 100}, "vocab_size", "word_embeddings"),
    (BERT, {"hidden_size": 30}, "hidden_size", "hidden_size"),
    (BERT, {"num_attention_heads": 2}, "num_attention_heads", None),
    (BERT, {"num_hidden_layers": 1}, "num_hidden_layers", None),
    (BERT, {"intermediate_size": 7}, "intermediate_size", "intermediate"),
    (BERT, {"type_vocab_size": 3}, "type_vocab_size", "token_type_embeddings"),
    (BERT, {"embedding_size": 7}, "embedding_size of others", None),
    (ELECTRA, {"embedding_size": 7}, "embedding_size", "word_embeddings"),
    (ELECTRA, {"hidden_act": "relu"}, "hidden_act", None),
    (DISTIL, {"dim": 4, "hidden_size": 48, "n_heads": 1, "num_attention_heads": 2, "n_layers": 9, "num_hidden_layers": 1}, "BERT's names", None),
    (DISTIL, {"n_layers": 1}, "n_layers", None),
    (DISTIL, {"dropout": 0.9, "attention_dropout": 0.9, "layer_norm_eps": 0.1, "type_vocab_size": 9}, "dropout", None),
    (DISTIL, {"hidden_dim": 7}, "hidden_dim", "ffn.lin1"),
    (DISTIL, {"dim": 30}, "dim", "dim: 30"),
    (DISTIL, {"n_heads": 1}, "n_heads", None),
    (BERT, {"hidden_act": "relu"}, "hidden_act", None),
    (BERT, {"hidden_act": "mish"}, "other hidden_act", "hidden_act"),
    (BERT, {"position_embedding_type": "relative_key"}, "position_embedding_type", "position_embedding_type"),
    (BERT, {"is_decoder": True}, "is_decoder", "is_decoder"),
    (BERT, {"is_causal": True}, "is_causal", "is_causal"),
    (BERT, {"causal": True}, "causal", "causal"),
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
    (BERT, {"model_name": "x", "_name_or_path": "x", "rope_theta": 7.0, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "names and rotary positions", None),
    (BERT, {"layer_types": ["full_attention", "full_attention"]}, "layer_types", None),
    (BERT, {"attn_implementation": "eager", "_attn_implementation": "eager", "name_or_path": "x"}, "attention", None),
    (DISTIL, {"sinusoidal_pos_embds": True}, "sinusoidal positions", None),
    (DISTIL, {"activation": "relu", "qa_dropout": 0.9, "seq_classif_dropout": 0.9}, "activation", None),
    (ELECTRA, {"summary_type": "mean", "summary_last_dropout": 0.9, "summary_activation": "relu", "summary_use_proj": False}, "summary", None),
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
        if isinstance(patch, str):
            path.write_text(patch)
            continue
        if patch is None:
            path.unlink()
            continue
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(merge(old, patch)))


def keys_read():
    """The keys that the loaders read, by file, as far as their signatures, their fields and their sources tell."""
    import dataclasses
    import inspect

    import tokenizers
    import transformers
    from sentence_transformers.base.model import BaseModel
    from sentence_transformers.base.modules import Transformer
    from transformers import GenerationConfig, PreTrainedConfig, PreTrainedTokenizerBase, TokenizersBackend
    from transformers.models.auto import configuration_auto, processing_auto, tokenization_auto

    def within(*sources, names):
        """What is asked of the dictionaries of these names."""
        text = "\n".join(inspect.getsource(s) for s in sources)
        found = set(re.findall(rf"""\b(?:{names})(?:\.get|\.pop|\.setdefault)?[\[(]["'](\w+)["']""", text))
        found |= set(re.findall(rf"""["'](\w+)["'] (?:not )?in (?:{names})\b""", text))
        return found | set(re.findall(rf"""(?:getattr|hasattr)\((?:{names}), ["'](\w+)["']""", text))

    def arguments(*calls):
        found = {p.name for c in calls for p in inspect.signature(c).parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        return found - {"self", "cls", "model_name_or_path"}

    config_classes = [getattr(transformers, c + "Config") for c in ("Bert", "Electra", "Roberta", "XLMRoberta", "Camembert", "DistilBert", "DebertaV2")]
    config = {f.name for c in config_classes for f in dataclasses.fields(c)} | {k for c in config_classes for k in c.attribute_map}
    config |= within(PreTrainedConfig.__post_init__, PreTrainedConfig.get_config_dict, names="kwargs|config_dict")
    config |= within(configuration_auto.AutoConfig, names="config_dict")
    config |= within(tokenization_auto.AutoTokenizer, processing_auto.AutoProcessor, CrossEncoder, Transformer.__init__, names="config")
    config |= within(transformers.PreTrainedModel.from_pretrained, names="config") | {"quantization_config", "auto_map"}
    classes = [transformers.BertTokenizer, transformers.DistilBertTokenizer, transformers.RobertaTokenizer, transformers.XLMRobertaTokenizer, transformers.CamembertTokenizer, transformers.DebertaV2Tokenizer]
    of_tokenizer = arguments(*(c.__init__ for c in classes)) | set(PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES)
    of_tokenizer |= within(PreTrainedTokenizerBase.__init__, PreTrainedTokenizerBase._from_pretrained, TokenizersBackend.__init__, names="kwargs|init_kwargs")
    of_tokenizer |= within(PreTrainedTokenizerBase.from_pretrained, tokenization_auto.AutoTokenizer, names="tokenizer_config")
    of_tokenizer |= within(processing_auto.AutoProcessor, names="config_dict")
    saved_by = BaseModel._load_config_modules, BaseModel._get_model_type, BaseModel._parse_model_config, CrossEncoder._parse_model_config
    empty = [tokenizers.models.WordPiece(), tokenizers.models.BPE(), tokenizers.models.Unigram()]
    files = [json.loads(tokenizers.Tokenizer(m).to_str()) for m in empty]
    token = tokenizers.Tokenizer(empty[0])
    token.add_tokens(["x"])
    read = {
        # Without arguments of calls and entries of auto_map, which are read from dictionaries of the same names.
        "config.json": config - set(GenerationConfig._get_default_generation_params())
        - {"AutoConfig", "AutoProcessor", "activation_fn", "cache_dir", "keep_in_fp32_modules", "local_files_only", "revision", "token"},
        "tokenizer_config.json": of_tokenizer - {"AutoProcessor"},
        "tokenizer.json": {k for f in files for k in f} | {"model." + k for f in files for k in f["model"]}
        | {"added_tokens." + k for k in json.loads(token.to_str())["added_tokens"][0]},
        "modules.json": within(BaseModel._load_config_modules, names="module_config"),
        "config_sentence_transformers.json": within(*saved_by, names="model_config|config") - {"sentence_transformers"},
        "sentence_bert_config.json": arguments(Transformer.__init__) | within(Transformer._load_init_kwargs, Transformer.load_config, names="config") 
        - {"trust_remote_code"} | {"model_args", "tokenizer_args", "config_args"},
    }
    return {file: sorted(keys) for file, keys in read.items()}


def hash_of(ids):
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]


@torch.inference_mode()
def run(folder, pairs, scored):
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
            **({"score": float(model.predict([(query, document)])[0])} if scored else {}),
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
                row["pairs"] = run(folder, each["pairs"], "activation_fn" in each["name"])
            except Exception as e:  # noqa: BLE001: its type is recorded
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
        text = json.dumps({"source": pinned, "keys": keys_read(), "cases": rows}, ensure_ascii=False, indent=1)
        (OUT / "fields.json").write_text(text + "\n", encoding="utf-8")
    print(len(rows), "cases,", len(failed), "fail there", file=sys.stderr)


if __name__ == "__main__":
    main()
