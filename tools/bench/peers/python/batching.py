"""From the texts of a request to padded batches, as a peer's users do it by default and as an expert would.

A peer has
  encode(query, documents)  token ids and segment ids, two lists of a list for each pair, not padded
  whole                     forward(ids, mask, types) -> logits [b], on all threads
  streams                   such functions of one thread each, one for each stream
where ids, mask and types are int64 arrays [b, longest].
"""

import collections
import concurrent.futures
import functools
import json

import jinja2
import numpy as np
from tokenizers import Tokenizer
LONGEST = 2048  # tokens of a pair, at most


def max_length(model):
    """Where pairs are cut: at what the model takes, or LONGEST."""
    with open(f"{model}/config.json", encoding="utf-8") as file:
        return min(json.load(file)["max_position_embeddings"], LONGEST)


@functools.cache
def prompt(model):
    """The text of a decoder's prompt before the query, up to the document, and after it; None for another model."""
    try:
        with open(f"{model}/chat_template.jinja", encoding="utf-8") as file:
            template = jinja2.Environment().from_string(file.read())
    except FileNotFoundError:
        return None
    messages = [{"role": "query", "content": "\0"}, {"role": "document", "content": "\0"}]
    before, between, after = template.render(messages=messages).split("\0")
    return before, between, after


def texts(model, query, documents):
    """The arguments with which a tokenizer makes each pair's tokens, (query, document) or (prompt,)."""
    parts = prompt(model)
    if parts is None:
        return [(query, document) for document in documents]
    before, between, after = parts
    return [(before + query + between + document + after,) for document in documents]


class PairTokenizer:
    """The tokenizers library, without the layers that transformers puts on top: the fastest that Python has."""

    def __init__(self, model):
        self.model = model
        self.tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
        self.tokenizer.enable_truncation(max_length(model), strategy="longest_first")
        self.tokenizer.no_padding()

    def __call__(self, query, documents):
        pairs = texts(self.model, query, documents)
        encodings = self.tokenizer.encode_batch_fast([pair if len(pair) == 2 else pair[0] for pair in pairs])
        return [e.ids for e in encodings], [e.type_ids for e in encodings]


def pad(ids, types):
    """Arrays of ids, mask and types, padded with zeros: [PAD] has id 0."""
    shape = len(ids), max(map(len, ids))
    arrays = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, (pair_ids, pair_types) in enumerate(zip(ids, types)):
        length = len(pair_ids)
        arrays[0][row, :length] = pair_ids
        arrays[1][row, :length] = 1
        arrays[2][row, :length] = pair_types
    return arrays


def micro_batches(lengths, micro_tokens):
    """Indices of sequences, longest first, cut where padding to the batch's longest would exceed micro_tokens."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches, batch = [], []
    for i in order:
        if batch and (len(batch) + 1) * lengths[batch[0]] > micro_tokens:
            batches.append(batch)
            batch = []
        batch.append(i)
    return batches + [batch]


@functools.cache
def scorer(peer, micro_tokens):
    """score(query, documents) -> logits in the documents' order.

    micro_tokens 0: the request as one batch, on all threads. Else micro-batches of at most that many tokens, padding
    included, handed to the streams as they become free.
    """
    if micro_tokens == 0:

        def score_whole(query, documents):
            return [float(x) for x in peer.whole(*pad(*peer.encode(query, documents)))]

        return score_whole

    pool = concurrent.futures.ThreadPoolExecutor(len(peer.streams))

    def score_tuned(query, documents):
        ids, types = peer.encode(query, documents)
        logits = [0.0] * len(ids)
        waiting = collections.deque(micro_batches([len(x) for x in ids], micro_tokens))

        def work(forward):
            while True:
                try:
                    batch = waiting.popleft()
                except IndexError:
                    return
                scores = forward(*pad([ids[i] for i in batch], [types[i] for i in batch]))
                for i, score in zip(batch, scores):
                    logits[i] = float(score)

        list(pool.map(work, peer.streams))
        return logits

    return score_tuned
