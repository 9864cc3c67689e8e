"""PyTorch with transformers, eager as sentence-transformers runs it, or compiled; on the CPU or on Apple's GPU."""

import inspect

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import batching

PACKAGES = ["torch", "transformers"]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Peer:
    def __init__(self, options):
        self.device = getattr(options, "device", "cpu")
        if options.precision not in DTYPES:
            raise SystemExit(f"{options.peer}: no {options.precision} here, only {', '.join(DTYPES)}")
        if self.device == "mps" and not torch.backends.mps.is_available():
            raise SystemExit("PyTorch has no MPS device here: that is Apple's GPU, on macOS")
        self.tokenizer = AutoTokenizer.from_pretrained(options.model)
        self.model_folder = options.model
        self.longest = batching.max_length(options.model)
        model = AutoModelForSequenceClassification.from_pretrained(options.model, dtype=DTYPES[options.precision])
        self.model = model.eval().to(self.device)
        self.has_types = "token_type_ids" in inspect.signature(model.forward).parameters
        if options.peer == "torch.compile":
            import torch._dynamo as dynamo
            import torch._inductor.config as inductor

            inductor.freezing = True  # weights as constants, packed once, as it documents for CPUs
            dynamo.config.recompile_limit = 32
            self.model = torch.compile(self.model, dynamic=True)
        self.whole = self._forward(options.threads)
        self.streams = [self._forward(1)] * options.streams

    def encode(self, query, documents):
        columns = map(list, zip(*batching.texts(self.model_folder, query, documents)))
        batch = self.tokenizer(*columns, truncation="longest_first", max_length=self.longest)
        ids = batch["input_ids"]
        return ids, batch.get("token_type_ids") or [[0] * len(x) for x in ids]

    def _forward(self, threads):
        def forward(ids, mask, types):
            torch.set_num_threads(threads)  # counts for the calling thread
            more = {"token_type_ids": torch.from_numpy(types).to(self.device)} if self.has_types else {}
            with torch.inference_mode():
                output = self.model(
                    input_ids=torch.from_numpy(ids).to(self.device),
                    attention_mask=torch.from_numpy(mask).to(self.device),
                    **more,
                )
                return output.logits[:, 0].float().cpu().numpy()

        return forward
