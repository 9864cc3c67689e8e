"""Makes weights/pickle/testdata: files of torch.save in each of its formats, files that must be refused, and values.

  venv/bin/python tools/model/golden/pickles.py
"""

import json
import pathlib

import torch

OUT = pathlib.Path(__file__).resolve().parents[3] / "weights" / "pickle" / "testdata"


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    module = torch.nn.Module()
    module.lin, module.norm, module.emb = torch.nn.Linear(3, 2), torch.nn.LayerNorm(4), torch.nn.Embedding(3, 4)
    module.register_buffer("position_ids", torch.arange(5).unsqueeze(0))
    state = module.state_dict()
    state["half"], state["brain"] = torch.randn(2, 2).half(), torch.randn(3).bfloat16()
    state["double"], state["bool"] = torch.randn(2).double(), torch.tensor([True, False])
    state["view"], state["scalar"] = state["emb.weight"][1:], torch.tensor(2.5)
    state["param"] = torch.nn.Parameter(torch.ones(2))
    torch.save(state, OUT / "zip.bin")
    torch.save(state, OUT / "protocol4.bin", pickle_protocol=4)
    torch.save(state, OUT / "legacy.bin", _use_new_zipfile_serialization=False)
    for name, refused in {
        "transposed": {"t": torch.randn(3, 2).t()}, "function": {"f": print}, "number": {"a": 1}, "list": [torch.ones(1)],
    }.items():
        torch.save(refused, OUT / f"refused_{name}.bin")
    values = {
        name: {"shape": list(t.shape), "dtype": str(t.dtype), "values": t.detach().double().flatten().tolist()}
        for name, t in state.items()
    }
    (OUT / "values.json").write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
