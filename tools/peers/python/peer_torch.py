"""PyTorch with transformers, eager as sentence-transformers runs it, or compiled."""

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

PACKAGES = ["torch", "transformers"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Peer:
    def __init__(self, options):
        self.tokenizer = AutoTokenizer.from_pretrained(options.model)
        model = AutoModelForSequenceClassification.from_pretrained(options.model, dtype=DTYPES[options.precision])
        self.model = model.eval()
        if options.peer == "torch.compile":
            import torch._inductor.config

            torch._inductor.config.freezing = True  # weights as constants, packed once: what it documents for CPUs
            torch._dynamo.config.recompile_limit = 32
            self.model = torch.compile(self.model, dynamic=True)
        self.whole = self._forward(options.threads)
        self.streams = [self._forward(1)] * options.threads

    def encode(self, query, documents):
        batch = self.tokenizer([query] * len(documents), documents, truncation="longest_first")
        return batch["input_ids"], batch["token_type_ids"]

    def _forward(self, threads):
        def forward(ids, mask, types):
            torch.set_num_threads(threads)  # counts for the calling thread
            with torch.inference_mode():
                output = self.model(
                    input_ids=torch.from_numpy(ids),
                    attention_mask=torch.from_numpy(mask),
                    token_type_ids=torch.from_numpy(types),
                )
                return output.logits[:, 0].float().numpy()

        return forward
