"""OpenVINO: the converted model in fp32 or bf16, or quantised by NNCF with bf16 for what stays in floating point."""

import openvino

import batching

PACKAGES = ["openvino"]
# fp32 must be asked for: where a CPU has bf16, OpenVINO takes it by default.
FILES = {"fp32": ("fp32.xml", "f32"), "bf16": ("fp32.xml", "bf16"), "int8": ("int8.xml", "bf16")}


class Peer:
    def __init__(self, options):
        if options.precision not in FILES:
            raise SystemExit(f"openvino: no {options.precision} here, only {', '.join(FILES)}")
        self.encode = batching.PairTokenizer(options.model)
        file, precision = FILES[options.precision]
        core = openvino.Core()
        model = core.read_model(f"{options.artifacts}/{file}")
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            precision = "f32"
            if options.precision == "bf16":
                raise SystemExit("openvino: this CPU has no bf16")
        hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": options.threads}
        whole = core.compile_model(model, "CPU", {**hints, "PERFORMANCE_HINT": "LATENCY"})
        self.whole = self._forward(whole)
        if options.streams:
            streams = core.compile_model(model, "CPU", {**hints, "NUM_STREAMS": options.streams})
            self.streams = [self._forward(streams) for _ in range(options.streams)]

    @staticmethod
    def _forward(compiled):
        request = compiled.create_infer_request()
        names = [each.any_name for each in compiled.inputs]

        def forward(ids, mask, types):
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
            return request.infer({name: feed[name] for name in names})[0][:, 0].copy()  # the request reuses its output

        return forward
