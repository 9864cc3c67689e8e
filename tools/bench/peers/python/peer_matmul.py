"""No peer but a yardstick: what a plain matrix product of PyTorch reaches on this machine, [2048, 384] x [384, 1536]."""

import time

import torch

PACKAGES = ["torch"]
ROWS, INNER, COLUMNS = 2048, 384, 1536


class Peer:
    def __init__(self, options):
        torch.set_num_threads(options.threads)
        a, b = torch.randn(ROWS, INNER), torch.randn(INNER, COLUMNS)
        if options.precision == "int8":
            a8, b8 = (a * 40).to(torch.int8), (b * 40).to(torch.int8)
            self.product = lambda: torch._int_mm(a8, b8)
        else:
            dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[options.precision]
            a, b = a.to(dtype), b.to(dtype)
            self.product = lambda: a @ b

    def measure(self):
        """The best of products over a fifth of a second, in 1e9 operations a second."""
        best, begin = float("inf"), time.perf_counter()
        while time.perf_counter() - begin < 0.2:
            start = time.perf_counter()
            self.product()
            best = min(best, time.perf_counter() - start)
        return 2 * ROWS * INNER * COLUMNS / best / 1e9
