"""Writes the pairs that the embedded model's rounding was calibrated with, for `metalrank convert --calibrate`.

Each query of hand.tsv, which is training data and shares nothing with eval/, with four texts: its answer; another's; two
others' in one; and its answer before two others'.
"""
import json
import pathlib

rows = [line.split("\t") for line in (pathlib.Path(__file__).parent / "hand.tsv").read_text().splitlines()]
answers = [answer for _, answer in rows]
for i, (query, answer) in enumerate(rows):
    def other(step):
        return answers[(i + step) % len(answers)]
    for text in (answer, other(7), f"{other(23)} {other(41)}", f"{answer} {other(3)} {other(59)}"):
        print(json.dumps({"query": query, "text": text}))
