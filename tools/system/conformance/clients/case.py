"""The case that every client runs, and how it reports: one line of JSON on standard output."""

import importlib.metadata
import json
import os
import sys
import traceback

BASE = os.environ["BASE"]  # the server's address, http://127.0.0.1:PORT
MODEL = os.environ["MODEL"]  # the model that it serves
CASE = json.loads(os.environ["CASE"])
QUERY, DOCUMENTS = CASE["query"], CASE["documents"]
RANKING = CASE["ranking"]  # [[index, score], …], best first, as the engine ranks without a server
TOLERANCE = 1e-6  # some clients keep scores in float32


def check(results, top_n=None):
    """Wants the first top_n (or all) results, pairs of an index and a score, to be the engine's."""
    want = RANKING[:top_n]
    got = [(int(index), float(score)) for index, score in results]
    if [index for index, _ in got] != [index for index, _ in want]:
        raise AssertionError(f"order {[i for i, _ in got]}, want {[i for i, _ in want]}")
    for (index, score), (_, wanted) in zip(got, want):
        if abs(score - wanted) > TOLERANCE:
            raise AssertionError(f"document {index} has score {score}, want {wanted}")


def check_texts(texts, top_n=None):
    """Wants these to be the texts of the first results."""
    want = [DOCUMENTS[index] for index, _ in RANKING[:top_n]]
    if list(texts) != want:
        raise AssertionError(f"texts {list(texts)}, want {want}")


def check_raises(exceptions, call, text):
    """Wants call to fail as its library says that a server refuses, with text in the message."""
    try:
        call()
    except exceptions as e:
        if text not in str(e):
            raise AssertionError(f"the error lacks {text!r}: {e}") from e
        return
    raise AssertionError("no error")


def langchain_documents():
    from langchain_core.documents import Document

    return [Document(page_content=text) for text in DOCUMENTS]


def check_langchain(documents, top_n=None):
    check_texts((d.page_content for d in documents), top_n)
    check([(DOCUMENTS.index(d.page_content), d.metadata["relevance_score"]) for d in documents], top_n)


def run(cases):
    """Runs cases, (client, package, call), and exits with 1 if one fails."""
    failed = False
    for client, package, call in cases:
        line = {"client": client, "package": package, "version": importlib.metadata.version(package), "error": None}
        try:
            call()
        except Exception:  # any exception of a library is its answer
            line["error"] = traceback.format_exc(limit=-3)
            failed = True
        print(json.dumps(line), flush=True)
    sys.exit(failed)
