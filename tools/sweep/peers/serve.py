"""Serves a checkpoint with one of the peers, in the dialect of text-embeddings-inference: POST /rerank on loopback.

Says {"port": …, "device": …, "versions": {…}} on standard output when it is ready, or {"error": …}; ends when its
standard input does, so that it never outlives whoever started it. Texts come in, scores go out: tokenising, padding and
waiting for the model are within what a client measures. A model runs one batch at a time.

The peers themselves are those of tools/bench/peers/python, as used: a request is one batch, padded to its longest pair.
"""

import argparse
import http.client
import http.server
import importlib
import importlib.metadata
import itertools
import json
import math
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import Future

import batching

# For each: the module of its Peer, the module's name for it, and the device.
PEERS = {
    "pytorch": ("peer_torch", "torch", "cpu"),
    "mps": ("peer_torch", "torch", "mps"),
    "compiled": ("peer_torch", "torch.compile", "cpu"),
    "onnx": ("peer_onnxruntime", "onnxruntime", "cpu"),
    "mlx": ("peer_mlx", "mlx", "gpu" if sys.platform == "darwin" else "cpu"),
    "openvino": ("peer_openvino", "openvino", "cpu"),
    "infinity": (None, "infinity", "cpu"),  # a server of its own
}


class Instance(threading.Thread):
    """One loaded model, on a thread of its own: some runtimes keep state by thread."""

    def __init__(self, module, options):
        super().__init__(daemon=True)
        self.module, self.options = module, options
        self.jobs = queue.SimpleQueue()  # of (query, documents, future)
        self.ready = Future()

    def run(self):
        try:
            self.peer = self.module.Peer(self.options)
        except BaseException as error:  # a peer raises SystemExit if something is missing
            self.ready.set_exception(error)
            return
        self.ready.set_result(None)
        while True:
            self.score(self.take())

    def take(self):
        """The next job, encoded; with a window, those after it that come in time and fit."""
        taken = [self.encoded(self.jobs.get())]
        if self.options.wait_ms < 0:
            return taken
        tokens = padded_tokens(taken)
        end = time.monotonic() + self.options.wait_ms / 1e3
        while tokens < self.options.max_tokens:
            try:
                taken.append(self.encoded(self.jobs.get(timeout=max(0, end - time.monotonic()))))
            except queue.Empty:
                break
            tokens = padded_tokens(taken)
        return taken

    def encoded(self, job):
        query, documents, future = job
        try:
            return *self.peer.encode(query, documents), future
        except Exception as error:
            future.set_exception(error)
            return [], [], future

    def score(self, taken):
        ids = [row for job in taken for row in job[0]]
        types = [row for job in taken for row in job[1]]
        if not ids:
            return
        try:
            logits = iter([float(x) for x in self.peer.whole(*batching.pad(ids, types))])
        except Exception as error:
            for *_, future in taken:
                if not future.done():
                    future.set_exception(error)
            return
        for job_ids, _, future in taken:
            if job_ids:
                future.set_result(list(itertools.islice(logits, len(job_ids))))


def padded_tokens(jobs):
    rows = [row for job in jobs for row in job[0]]
    return len(rows) * max(map(len, rows), default=0)


def handler(instances):
    turns = itertools.cycle(instances)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept
        disable_nagle_algorithm = True

        def do_POST(self):
            try:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                future = Future()
                next(turns).jobs.put((request["query"], request["texts"], future))
                scores = future.result()
                if not request.get("raw_scores"):
                    scores = [1 / (1 + math.exp(-x)) for x in scores]
                ranking = sorted(enumerate(scores), key=lambda pair: -pair[1])
                self.answer(200, [{"index": i, "score": score} for i, score in ranking])
            except Exception as error:
                self.answer(500, {"error": f"{type(error).__name__}: {error}"})

        def answer(self, status, value):
            body = json.dumps(value).encode()
            head = f"HTTP/1.1 {status} {http.client.responses[status]}\r\nContent-Type: application/json\r\n"
            self.wfile.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)  # one packet where it fits

        def log_message(self, *_):
            pass

    return Handler


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def serve_infinity(options, say):
    """Runs infinity's own server until standard input ends."""
    if options.precision != "fp32":
        raise SystemExit(f"infinity: no {options.precision} here, only fp32")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [f"{os.path.dirname(sys.executable)}/infinity_emb", "v2", "--model-id", options.model, "--engine", "torch"]
    command += ["--device", options.device, "--host", "127.0.0.1", "--port", str(port), "--no-bettertransformer"]
    command += ["--log-level", "error"]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**os.environ, "DO_NOT_TRACK": "1"})
    try:
        while not healthy(port):
            if child.poll() is not None:
                raise SystemExit("infinity ended before it served")
            time.sleep(0.2)
        say({"port": port, "device": options.device, "versions": {"infinity_emb": importlib.metadata.version("infinity_emb")}})
        sys.stdin.read()
    finally:
        child.terminate()
        child.wait()


def healthy(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--model", required=True, help="folder of the checkpoint")
    parser.add_argument("--artifacts", help="folder that prepare.py wrote, for onnx and openvino")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--instances", type=int, default=1)
    parser.add_argument("--wait-ms", type=float, default=-1, help="join requests that come within this; -1: never join")
    parser.add_argument("--max-tokens", type=int, default=16384, help="padded tokens after which none is joined")
    options = parser.parse_args()

    # Messages have a descriptor of their own, because libraries print to standard output.
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message):
        said.write(json.dumps(message) + "\n")
        said.flush()

    name, options.peer, options.device = PEERS[options.peer]
    batching.LONGEST = options.max_length
    options.streams = 0
    try:
        if name is None:
            serve_infinity(options, say)
            return
        module = importlib.import_module(name)
        instances = [Instance(module, options) for _ in range(options.instances)]
        for instance in instances:  # one after the other: imports and compilers don't like company
            instance.start()
            instance.ready.result()
        versions = {package: importlib.metadata.version(package) for package in module.PACKAGES}
    except BaseException as error:
        text = str(error) if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        say({"error": text})
        return
    server = Server(("127.0.0.1", 0), handler(instances))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say({"port": server.server_port, "device": options.device, "versions": versions})
    sys.stdin.read()


if __name__ == "__main__":
    main()
    os._exit(0)  # without waiting for threads of libraries
