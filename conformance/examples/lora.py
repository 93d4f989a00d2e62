"""LoRA in NumPy, as an implementation that `lowrank verify --command` can put to the test.

    lowrank verify test/golden/layers --command "python3 conformance/examples/lora.py"

Knows LoRA on linear layers, y = x W' + b + s (x A') B', its gradients, and merging. Case by case it is
called with a directory, reads case.json and inputs.safetensors, and writes outputs.safetensors.
"""

import json
import sys
from pathlib import Path

import numpy as np

SKIP = 77  # the exit status that says: I do not know this kind of case
DTYPES = {"F64": np.float64, "F32": np.float32, "I64": np.int64, "BOOL": np.uint8}


def read(path):
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = {k: v for k, v in json.loads(data[8:start]).items() if k != "__metadata__"}
    return {k: np.frombuffer(data[start + v["data_offsets"][0]:start + v["data_offsets"][1]],
                             DTYPES[v["dtype"]]).reshape(v["shape"]) for k, v in header.items()}


def write(path, tensors):
    header, body = {}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value, np.float64).tobytes()
        header[name] = {"dtype": "F64", "shape": list(np.shape(value)), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def lora(t, s):
    """The outputs of one layer under one adapter of scale s, and the gradients of sum(y * dy)."""
    x, dy, W, A, B = (t[k] for k in ("x", "dy", "base.weight", "lora_A", "lora_B"))
    base = x @ W.T + t.get("base.bias", 0)
    X, DY = x.reshape(-1, W.shape[1]), dy.reshape(-1, W.shape[0])
    return {"y_base": base, "y": base + s * ((x @ A.T) @ B.T),
            "d_x": dy @ W + s * (dy @ B) @ A, "d_base.bias": DY.sum(0),
            "d_lora_A": s * (DY @ B).T @ X, "d_lora_B": s * DY.T @ (X @ A.T),
            "delta_weight": s * B @ A, "merged.weight": W + s * B @ A, "merged.bias": t.get("base.bias", 0)}


def main(layer=lora):
    folder = Path(sys.argv[1])
    case = json.loads((folder / "case.json").read_text())
    adapters = list(case.get("adapters", {}).values())
    known = case.get("kind") == "linear" and len(adapters) == 1 and "dtype" not in case
    if not known or adapters[0]["use_dora"] or adapters[0]["lora_bias"]:
        sys.exit(SKIP)
    r, alpha = adapters[0]["r"], adapters[0]["lora_alpha"]
    s = alpha / (r ** 0.5 if adapters[0]["use_rslora"] else r)
    outputs = layer(read(folder / "inputs.safetensors"), s)
    write(folder / "outputs.safetensors", {k: v for k, v in outputs.items() if k in case["outputs"]})


if __name__ == "__main__":
    main()
