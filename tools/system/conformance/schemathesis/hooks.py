"""What a request must keep to that JSON Schema has no words for.

Schemathesis wants every request that fits the schema to be accepted. These are changed before they are sent, and then
fit: a query and a text that are both empty, two sides of different lengths, rank_fields that a document doesn't have, a limit
of tokens where nothing may be cut.
Whole numbers lose the .0 with which JSON Schema, unlike other readers of JSON, calls them integers. And no time is too
short: 504 would be a right answer, but a server error.
"""

import json

import schemathesis
from schemathesis import GenerationMode

PATIENCE = 60  # seconds
TIMEOUTS = {"x-request-timeout", "request-timeout"}
SIDES = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))


def whole(value):
    """Replaces floats that are whole numbers, at any depth."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    return value


def patient(headers):
    """Raises timeouts that may be over before the answer is there."""
    for name in list(headers or ()):
        if name.lower() not in TIMEOUTS:
            continue
        try:
            seconds = float(headers[name])
        except (TypeError, ValueError):
            continue
        if 0 < seconds < PATIENCE:
            headers[name] = str(PATIENCE)


def refuses_cuts(body):
    """Tells whether a body forbids to cut what is too long, in one of the ways to write false."""
    false = {"false", "f", "no", "n", "off", "0"}
    return any(body.get(name, "") is not None and str(body.get(name, "")).lower() in false | {"0.0"} for name in ("truncate", "truncation"))


def fit(body):
    """Changes a body in place."""
    texts = [text for name in ("texts", "documents") if isinstance(body.get(name), list) for text in body[name]]
    if body.get("query") == "" and any(text == "" or isinstance(text, dict) and text.get("text") == "" for text in texts):
        body["query"] = "q"
    body.pop("instruction", None)  # the server's model has no place for one
    if refuses_cuts(body):
        body.pop("truncate_prompt_tokens", None)
    if body.get("rank_fields") and any(isinstance(text, dict) for text in texts):
        del body["rank_fields"]
    if "query" in body:
        return
    for first, second in SIDES:
        a, b = body.get(first), body.get(second)
        if a is None or b is None:
            continue
        if isinstance(a, list) and len(a) != 1 and len(a) != (len(b) if isinstance(b, list) else 1):
            body[first] = a[0]


@schemathesis.hook
def before_call(context, case, kwargs):
    patient(case.headers)
    if not isinstance(case.body, dict) or case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    case.body = whole(json.loads(json.dumps(case.body)))
    fit(case.body)
