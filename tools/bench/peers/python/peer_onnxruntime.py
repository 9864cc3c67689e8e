"""onnxruntime on the exported graph, with its full set of graph optimisations."""

import onnxruntime

import batching

PACKAGES = ["onnxruntime"]


class Peer:
    def __init__(self, options):
        if options.precision not in ("fp32", "int8"):
            raise SystemExit(f"onnxruntime: no {options.precision} here, only fp32 and int8")
        self.encode = batching.PairTokenizer(options.model)
        path = f"{options.artifacts}/{options.precision}.onnx"
        self.whole = self._forward(path, options.threads)
        if options.streams:
            one_thread = self._forward(path, 1)  # a session may run on several threads at once
            self.streams = [one_thread] * options.streams

    @staticmethod
    def _forward(path, threads):
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

        names = [each.name for each in session.get_inputs()]

        def forward(ids, mask, types):
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
            return session.run(None, {name: feed[name] for name in names})[0][:, 0]

        return forward
