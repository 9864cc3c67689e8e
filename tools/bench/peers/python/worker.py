"""One peer behind a line protocol: a JSON command a line on standard input, a JSON reply a line on standard output.

wire/wire.go has the messages. Only the scoring of a request is timed, from its texts to its logits.
"""

import argparse
import gc
import importlib
import importlib.metadata
import json
import math
import os
import sys
import time

import batching

# Each module has PACKAGES and Peer(options), which loads the model and has the members that batching.py needs.
PEERS = {
    "onnxruntime": "peer_onnxruntime",
    "torch": "peer_torch",
    "torch.compile": "peer_torch",
    "openvino": "peer_openvino",
    "mlx": "peer_mlx",
    "matmul": "peer_matmul",
}


def read_workloads(path):
    """The requests of each workload, [(query, documents)], in the order of the file."""
    workloads = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            workloads.setdefault(request["workload"], []).append((request["query"], request["documents"]))
    return workloads


def run(score, requests, limit_s):
    """Times score on each request; stops after the request with which limit_s seconds are reached."""
    gc.collect()
    seconds, logits, begin = [], [], time.perf_counter()
    for query, documents in requests:
        start = time.perf_counter()
        scores = score(query, documents)
        end = time.perf_counter()
        if not all(map(math.isfinite, scores)):
            raise ValueError("scores that are not finite")
        seconds.append(end - start)
        logits.append(scores)
        if end - begin >= limit_s:
            break
    return {"seconds": seconds, "logits": logits}


def answer(peer, workloads, command):
    if command["op"] == "measure":
        return {"gflops": peer.measure()}
    score = batching.scorer(peer, command["micro_tokens"])
    return run(score, workloads[command["workload"]][: command["requests"]], command["limit_s"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True, help="of one thread each, for micro-batches; 0: none")
    parser.add_argument("--model", required=True, help="folder of the checkpoint")
    parser.add_argument("--artifacts", required=True, help="folder that prepare.py wrote")
    parser.add_argument("--workloads", required=True, help="file of requests")
    options = parser.parse_args()

    # Replies keep a descriptor of their own: libraries print to standard output as they like.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(message):
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    module = importlib.import_module(PEERS[options.peer])
    peer = module.Peer(options)
    workloads = read_workloads(options.workloads)
    versions = " ".join(f"{name} {importlib.metadata.version(name)}" for name in module.PACKAGES)
    reply({"ready": True, "details": versions})
    for line in sys.stdin:
        try:
            reply(answer(peer, workloads, json.loads(line)))
        except Exception as error:
            reply({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
