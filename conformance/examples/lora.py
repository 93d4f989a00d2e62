"""LoRA in NumPy, as an implementation that `lowrank verify --command` can put to the test.

    lowrank verify test/golden/layers --command "python3 conformance/examples/lora.py"
    lowrank verify conformance --command "python3 conformance/examples/lora.py"

Knows LoRA on linear layers, y = x W' + b + s (d(x) A') B' with d dropout by the generator's masks, its
gradients, merging, and the generator itself. Case by case it is called with a directory, reads case.json and
inputs.safetensors, and writes outputs.safetensors.
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


def words(seed, stream, count):
    """Philox4x32-10: four words for each counter (block, 0, stream, 0), the seed in halves as its key."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    block = np.arange(-(-count // 4), dtype=np.uint64)
    c0, c1, c2, c3 = block, block * 0, block * 0 + np.uint64(stream), block * 0
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (b >> half) ^ c1 ^ np.uint64(k0), b & low, (a >> half) ^ c3 ^ np.uint64(k1), a & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], 1).reshape(-1)[:count]


def mask(shape, p, seed, stream):
    """What each element is multiplied by: 0 where its word is below p, else 1 / (1 - p)."""
    drawn = words(seed, stream, int(np.prod(shape))).reshape(shape)
    return np.where(drawn < int(p * 2**32), 0, 1 / (1 - p))


def lora(t, s, d=1):
    """The outputs of one layer under one adapter of scale s and mask d, and the gradients of sum(y * dy)."""
    x, dy, W, A, B = (t[k] for k in ("x", "dy", "base.weight", "lora_A", "lora_B"))
    base = x @ W.T + t.get("base.bias", 0)
    rows = int(np.prod(x.shape[:-1]))
    X, DY = (d * x).reshape(rows, W.shape[1]), dy.reshape(rows, W.shape[0])
    return {"y_base": base, "y": base + s * ((d * x) @ A.T) @ B.T,
            "d_x": dy @ W + d * (s * (dy @ B) @ A), "d_base.bias": DY.sum(0),
            "d_lora_A": s * (DY @ B).T @ X, "d_lora_B": s * DY.T @ (X @ A.T),
            "delta_weight": s * B @ A, "merged.weight": W + s * B @ A, "merged.bias": t.get("base.bias", 0)}


def drawn(case, t):
    """The generator's own cases: words, uniform draws of 53 bits, normals, an order, or dropout and its gradient."""
    if case["kind"] != "dropout":
        count = case["count"]
        w = words(case["seed"], case["stream"], 2 * count + 2)
        u = ((w[::2] >> 5) * 2.0**26 + (w[1::2] >> 6)) / 2.0**53
        pairs = np.sqrt(-2 * np.log(1 - u[:-1:2])) * np.exp(2j * np.pi * u[1::2])
        order = list(range(count))
        for i in range(count - 1, 0, -1):
            j = int(u[count - 1 - i] * (i + 1))
            order[i], order[j] = order[j], order[i]
        return {"words": w[:count], "uniform": u[:count], "normal": pairs.view(float)[:count], "order": order}
    d = mask(t["x"].shape, case["p"], case["seed"], case["stream"])
    return {"y": d * t["x"], "grad_x": d * t["d_y"]}


def main(layer=lora):
    folder = Path(sys.argv[1])
    case = json.loads((folder / "case.json").read_text())
    inputs = folder / "inputs.safetensors"
    adapters = list(case.get("adapters", {}).values())
    if case.get("family") == "random":
        outputs = drawn(case, read(inputs))
    elif case.get("family") == "layers" and case["kind"] == "linear" and len(adapters) == 1 and "dtype" not in case:
        own = adapters[0]
        if own["use_dora"] or own["lora_bias"]:
            sys.exit(SKIP)
        s = own["lora_alpha"] / (own["r"] ** 0.5 if own["use_rslora"] else own["r"])
        t = read(inputs)
        outputs = layer(t, s, mask(t["x"].shape, **own["dropout"])) if "dropout" in own else layer(t, s)
    else:
        sys.exit(SKIP)
    write(folder / "outputs.safetensors", {k: v for k, v in outputs.items() if k in case["outputs"]})


if __name__ == "__main__":
    main()
