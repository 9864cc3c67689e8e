"""Makes livemed.jsonl, on standard output: questions of consumers about health, with answers that people have judged.

    python3 tools/model/quality/livemed.py ANSWERS.zip QUESTIONS.xml > tools/model/quality/livemed.jsonl

README.md says where both come from and under which terms. Needs nothing beyond Python 3.11. The same files give the same
bytes.
"""
import collections
import csv
import hashlib
import io
import json
import math
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree
import zipfile

ANSWERS_SHA256 = "23d339357e5a10066542cc1e12f458f7002a8a86731369c8f4a8c4e337bf9ba1"
QUESTIONS_SHA256 = "f6384fcf03e9b1bd0d9a15f6ea1a1aafc9491082e63fef0922ae2d6bc451805b"
FOLDER = "QA-TestSet-LiveQA-Med-Qrels-2479-Answers/"

# MedQuAD may not license answers of these collections: it withdrew them from its own files.
WITHHELD = ("ADAM", "MPlusDrugs", "MPlusHerbsSuppls")

CANDIDATES = 20
MOST_CHARACTERS = 600  # of an answer, cut between words
K1, B = 1.2, 0.75  # BM25, as Robertson and Zaragoza (2009) and Lucene have them
RELEVANT = 2  # "incomplete" and "excellent"


def read(path, sha256):
    data = pathlib.Path(path).read_bytes()
    if (have := hashlib.sha256(data).hexdigest()) != sha256:
        raise SystemExit(f"livemed: {path} has sha256 {have}, want {sha256}")
    return data


def text_of(answer):
    """The answer alone: each comes after a question of its own and an address."""
    text = " ".join(answer.partition("Answer:")[2].split()).removesuffix(")").strip()
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS + 1].rpartition(" ")[0]


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def bm25(documents):
    """Returns a function from a query to the score of each document."""
    counts = [collections.Counter(words(d)) for d in documents]
    lengths = [sum(c.values()) for c in counts]
    mean = sum(lengths) / len(lengths)
    having = collections.Counter(w for c in counts for w in c)

    def scores(query):
        terms = [w for w in dict.fromkeys(words(query)) if w in having]
        idf = {w: math.log(1 + (len(documents) - having[w] + 0.5) / (having[w] + 0.5)) for w in terms}
        return [
            sum(idf[w] * c[w] * (K1 + 1) / (c[w] + K1 * (1 - B + B * n / mean)) for w in terms)
            for c, n in zip(counts, lengths, strict=True)
        ]

    return scores


def main(answers_path, questions_path):
    archive = zipfile.ZipFile(io.BytesIO(read(answers_path, ANSWERS_SHA256)))
    questions = {
        q.get("qid").removeprefix("TQ"): " ".join(q.findtext("NLM-Summary").split())
        for q in ElementTree.fromstring(read(questions_path, QUESTIONS_SHA256))
    }
    table = archive.read(FOLDER + "All-2479-Answers-retrieved-from-MedQuAD.csv").decode()
    answers = {}  # texts that occur under two names have one place, and the better of two grades
    place = {}
    for name, answer in list(csv.reader(io.StringIO(table)))[1:]:
        text = text_of(answer)
        if not name.startswith(WITHHELD) and text:
            place[name] = answers.setdefault(text, len(answers))
    grades = collections.defaultdict(dict)
    judged = archive.read(FOLDER + "All-qrels_LiveQAMed2017-TestQuestions_2479_Judged-Answers.txt").decode()
    for line in judged.splitlines():
        question, grade, name = line.split()
        if name in place:
            of = grades[question]
            of[place[name]] = max(of.get(place[name], 0), int(grade[0]) - 1)

    documents = list(answers)
    scores = bm25(documents)
    for question, query in questions.items():
        score = scores(query)
        found = sorted(range(len(documents)), key=lambda i: (-score[i], i))[:CANDIDATES]
        graded = [grades[question].get(i, 0) for i in found]
        if max(graded) >= RELEVANT:
            row = {"id": f"livemed-{question}", "query": query, "docs": [documents[i] for i in found], "grades": graded}
            print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: livemed.py ANSWERS.zip QUESTIONS.xml")
    main(*sys.argv[1:])
