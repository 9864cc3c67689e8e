"""Makes engine/testdata/prompts: what transformers makes of the prompts of decoders.

  venv/bin/python tools/model/golden/prompts.py [--pairs N] [--check]

Its tokenizers are trained, with the stages of Qwen2's and of Llama 3's, on texts with much white space and many signs, so that
tokens reach across the parts of a prompt. weights/testdata/chat_templates.json has chat templates and what Jinja renders.
pairs.jsonl.zst has hostile pairs: hashes of the ids of the whole prompt, by prompt. The texts of the prompts are in
weights/prompt.go with their sources. With --check the tokenizers that are there are kept.
"""

import argparse
import json
import pathlib
import random
import shutil

import zstandard
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from families import TEXTS, ids_hash

OUT = pathlib.Path(__file__).resolve().parents[3] / "engine" / "testdata" / "prompts"
TEMPLATES_FILE = OUT.parents[2] / "weights" / "testdata" / "chat_templates.json"
EXPRESSION = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LENGTH = 100

SYSTEM = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
TASK = "Given a web search query, retrieve relevant passages that answer the query"
ANSWER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
MXBAI = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
    "You are a search relevance expert who evaluates how well documents match search queries. For each query-document pair, "
    "carefully analyze the semantic relationship between them, then provide your binary relevance judgment (0 for not "
    "relevant, 1 for relevant).\nRelevance:",
    "<|im_end|>\n<|im_start|>assistant\n",
)
# A template of our own, whose texts touch the literal text on both sides.
TOUCHING = (
    '{%- set task = messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("rank") -%}\n'
    "<|im_start|>{{ task }}: q={{ messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first }}\n"
    "d={{ (messages | selectattr('role', 'eq', 'document') | first).content }}\n\nso<|im_end|>\n"
)
ROLE = 'messages | selectattr("role", "eq", "%s") | map(attribute="content") | first'
TEMPLATES = [
    TOUCHING,
    "a {{ %s }}\n b {{ %s }}\n\n\n" % (ROLE % "query", ROLE % "document"),
    "{# a note #}\n  {% if add_generation_prompt %}\n  yes {% else %} no{% endif %}\n{{- " + ROLE % "query" + " }} x {{ " + ROLE % "document" + " -}}  \n y",
    "{%- set q = messages | selectattr('role', 'eq', 'query') | map(attribute='content') | list -%}\n"
    "{%- set d = messages | selectattr('role', 'eq', 'document') | map(attribute='content') | list -%}\n"
    "{%- if q and d %}\n{{- '<|im_start|>system\\n' + (q | first) + '<|im_end|>\\n' -}}\n{{- '<u>\\n' + (d | first) ~ '\\t\"' -}}\n"
    "{%- if add_generation_prompt -%}{{- '<a>\\n' -}}{%- endif -%}\n"
    "{%- else %}{% for m in messages %}{{ m.role }}{% if m.x %}{% endif %}{% endfor %}{%- endif %}",
    "{{ instruction | default(instruct | default(" + ROLE % "system" + ' | default("by  default", true), true), true) }}: {{ '
    + ROLE % "query" + " }}|{{ " + ROLE % "document" + " }}",
    "  {%- if tools is defined or not messages %}t{% elif messages and true %}\n  m{% endif %}\n{{ " + ROLE % "query" + " }} {{ " + ROLE % "document" + " }}{{ missing }}",
    "x { y {{ " + ROLE % "query" + ' }} %} "{{ ' + ROLE % "document" + " }}\" {{ '{{' }}",
    "   {%+ if true %} a {% endif +%}\n{{ " + ROLE % "query" + " }}{{+ ' b' }}{{ " + ROLE % "document" + " }}",
]
REFUSED = [
    "{% for m in messages %}{{ m.content }}{% endfor %}'query' 'document'",
    "{{ (" + ROLE % "query" + ") | trim }}{{ " + ROLE % "document" + " }}",
    "{{ " + ROLE % "document" + " }}{{ " + ROLE % "query" + " }}",
    "{{ " + ROLE % "query" + " }} 'document'",
    "{% if " + ROLE % "query" + " %}a{% endif %}{{ " + ROLE % "query" + " }}{{ " + ROLE % "document" + " }}",
    "{% macro a() %}{% endmacro %}{{ " + ROLE % "query" + " }}{{ " + ROLE % "document" + " }}",
    "{{ messages[0].content }}{{ " + ROLE % "query" + " }}{{ " + ROLE % "document" + " }}",
    "{{ " + ROLE % "query" + " }}{{ " + ROLE % "document" + " }}{{ messages | length }}",
    "{{ " + ROLE % "query" + " }}{{ " + ROLE % "document" + " }}{% if true %}",
    "{{ " + ROLE % "query" + " }}{{ " + ROLE % "document" + " }}{{ 'a' ",
]

SPECIAL = ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<think>", "</think>", "<|im_end", "|>", "<think", "<|begin|>"]
SPACE = [" ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\u0085", "\u200b"]
SIGNS = [
    "?", "!?", "…", ".", ",", ":", ";", "-", "--", "'", "''", "'s", "'LL", "\"", "(", ")", "«", "»", "<", ">", "/", "\\", "{", "_", "=", "日", "。",
    "é", "e\u0301", "\u0301", "a\u0328\u0301", "가", "\u1100\u1161", "\u11a8", "ﬁ", "½", "²", "١", "๓", "1", "12", "2024", "1234567", "👍🏽", "👨‍👩‍👧",
    "a", "Z", "ß", "x1", "don't", "I'M", "\ufeff", "\u00ad", "\u0345", "\u0d4e", "\u037e", "\u212a", "\uf900", "K\u030c", "\x01", "\x7f",
]


def trained(digits, corpus, **model):
    t = Tokenizer(models.BPE(**model))
    if not digits:
        t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(EXPRESSION % digits), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin|>"]
    t.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=1100, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    ))
    t.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    t.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    if digits:
        begin = processors.TemplateProcessing(
            single="<|begin|> $A", pair="<|begin|> $A <|begin|> $B", special_tokens=[("<|begin|>", t.token_to_id("<|begin|>"))]
        )
        t.post_processor = processors.Sequence([processors.ByteLevel(add_prefix_space=True, trim_offsets=False), begin])
    return t


def make_tokenizers(rng):
    corpus = [text(rng) for _ in range(3000)] + [SYSTEM, TASK, ANSWER, *MXBAI, "question:a \n \n passage:b"] * 3 + TEXTS * 5
    for name, t, cls in (
        ("qwen", trained("", corpus), "Qwen2Tokenizer"),
        ("llama", trained("{1,3}", corpus, ignore_merges=True), "PreTrainedTokenizerFast"),
    ):
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        t.save(str(folder / "tokenizer.json"), pretty=False)
        config = {"tokenizer_class": cls, "model_max_length": 1000, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


def text(rng):
    parts = []
    for _ in range(rng.choice([0, 1, 1, 2, 3, 5, 8, 13, 21])):
        parts.append(rng.choice(rng.choice([SPECIAL, SPACE, SPACE, SIGNS, SIGNS, SIGNS, " ".join(TEXTS).split()])))
        if rng.random() < 0.05:
            parts.append(chr(rng.choice([rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x11000), rng.randrange(0x1F000, 0x30000)])))
        if rng.random() < 0.3:
            parts.append(" ")
    return "".join(parts)


def render(template, query, document, instruction=None, generation=False):
    messages = [{"role": "query", "content": query}, {"role": "document", "content": document}]
    if instruction:
        messages.insert(0, {"role": "system", "content": instruction})
    return render_jinja_template([messages], chat_template=template, add_generation_prompt=generation)[0][0]


def cut(ids, limit, suffix):
    """The end of a prompt that is cut comes back (_restore_chat_template_suffix of sentence-transformers 6.2.0)."""
    return ids if len(ids) <= limit else ids[: limit - len(suffix)] + suffix


def qwen3(t, q, d, instruction):
    """The card of Qwen3-Reranker."""
    encode = lambda s: t(s, add_special_tokens=False)["input_ids"]
    prefix, suffix = encode(SYSTEM), encode(ANSWER)
    body = encode(f"<Instruct>: {instruction or TASK}\n<Query>: {q}\n<Document>: {d}")
    room = LENGTH - len(prefix) - len(suffix)
    fits = room > len(encode(f"<Instruct>: {instruction or TASK}\n<Query>:")) + len(encode(f" {q}\n<Document>:"))
    return (prefix + body[:room] + suffix if fits else None), prefix + body + suffix


def mxbai(t, q, d, instruction):
    """MxbaiRerankV2.prepare_inputs of mxbai-rerank, without its limit on the query."""
    encode = lambda s: t(s, add_special_tokens=False)["input_ids"]
    first, task, last = MXBAI
    query = encode((f"instruction: {instruction}\n" if instruction else "") + f"query: {q}")
    document = encode("\n") + encode(f"document: {d}")
    ends = encode(first), encode("\n") + encode(task) + encode(last)
    room = 200 - sum(map(len, ends)) - len(query)
    whole = ends[0] + query + document + ends[1]
    return (ends[0] + query + document[:room] + ends[1] if room > len(encode("\ndocument:")) + 1 else None), whole


def nemotron(t, q, d, instruction):
    """The card of llama-nemotron-rerank-1b-v2."""
    whole = t(f"question:{q} \n \n passage:{d}")["input_ids"]
    limit = 24
    return (whole[:limit] if len(t(f"question:{q} \n \n passage:a:")["input_ids"]) < limit else None), whole


def touching(t, q, d, instruction):
    encode = lambda s: t(s, add_special_tokens=False)["input_ids"]
    whole = encode(render(TOUCHING, q, d, instruction))
    suffix = encode("\n\nso<|im_end|>")
    limit = 60
    return (cut(whole, limit, suffix) if len(encode(render(TOUCHING, q, "a=", instruction))) < limit else None), whole


PROMPTS = {"qwen3": ("qwen", qwen3), "mxbai": ("qwen", mxbai), "nemotron": ("llama", nemotron), "touching": ("qwen", touching)}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pairs", type=int, default=1500)
    arguments.add_argument("--check", action="store_true")
    arguments = arguments.parse_args()
    rng = random.Random(1)
    if not arguments.check:
        make_tokenizers(random.Random(2))
    cases = []
    for i, template in enumerate(TEMPLATES):
        for instruction, generation in ((None, False), ("an  instruction\n", True)):
            cases.append({
                "template": template, "generation": generation, "instruction": instruction,
                "rendered": render(template, "<the query>", "<the document>", instruction, generation),
            })
    cases += [{"template": template, "refused": True} for template in REFUSED]
    TEMPLATES_FILE.write_text(json.dumps(cases, ensure_ascii=False, indent=1))
    tokenizers = {name: AutoTokenizer.from_pretrained(OUT / name) for name in ("qwen", "llama")}
    lines = []
    for i in range(arguments.pairs):
        q, d, instruction = text(rng), text(rng), text(rng).strip() if i % 3 == 0 else ""
        if "instruction" in instruction or i % 4 == 1:
            d = d * rng.choice([1, 5, 20])
        ids = {}
        for name, (tokenizer, encode) in PROMPTS.items():
            short, whole = encode(tokenizers[tokenizer], q, d, instruction)
            ids[name] = [ids_hash(whole), ids_hash(short) if short else ""]
        lines.append({"query": q, "document": d, "instruction": instruction, "ids": ids})
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    (OUT / "pairs.jsonl.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(data))
    print(len(lines), "pairs", len(data), "bytes")


if __name__ == "__main__":
    main()
