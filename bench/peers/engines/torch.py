"""PyTorch on one thread, as its documentation shows; `peft` wraps the layers by peft. Answers the lines of
worker.mjs: check, sample, end.  python torch.py ENGINE WORKLOAD FOLDER"""

import json
import math
import resource
import sys
import time

import numpy as np

sys.path = [p for p in sys.path if not p.endswith("engines")]
import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(1)


def draws(text, count):
    seed = 0x811C9DC5
    for byte in text.encode():
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    u32 = np.uint32
    t = (u32(seed) + np.arange(1, count + 1, dtype=np.uint64) * 0x6D2B79F5).astype(u32)
    state = t
    t = (state ^ (state >> u32(15))) * (state | u32(1))
    t = t ^ (t + (t ^ (t >> u32(7))) * (t | u32(61)))
    return t ^ (t >> u32(14))


def tensors_of(workload):
    made = {}
    for spec in workload["tensors"]:
        u = draws(f"{workload['name']}/{spec['name']}", math.prod(spec["shape"]))
        if "modulus" in spec:
            values = (u % np.uint32(spec["modulus"])).astype(np.int64)
        else:
            v = (u >> np.uint32(8)).astype(np.float64) / 2**23 - 1
            values = (spec.get("offset", 0) + spec.get("scale", 1) * v).astype(np.float32)
        made[spec["name"]] = torch.from_numpy(values).reshape(spec["shape"])
    return made


class Lora(nn.Module):
    def __init__(self, base, a, b, scale):
        super().__init__()
        self.base, self.scale = base, scale
        self.a, self.b = nn.Parameter(a), nn.Parameter(b)

    def forward(self, x):
        return self.base(x) + self.scale * F.linear(F.linear(x, self.a), self.b)


def linear(w):
    layer = nn.Linear(w.shape[1], w.shape[0], bias=False)
    layer.weight = nn.Parameter(w, requires_grad=False)
    return layer


class Layer(nn.Module):
    def __init__(self, t, at, size):
        super().__init__()
        self.size = size
        for name in ["q", "k", "v", "o", "gate", "up", "down"]:
            setattr(self, name, linear(t[f"{at}.{name}"]))
        for name in ["norm1", "norm2"]:
            setattr(self, name, nn.Parameter(t[f"{at}.{name}"], requires_grad=False))

    def forward(self, h, cos, sin):
        s = self.size
        rows = h.shape[:2]
        norm = lambda x, w: F.rms_norm(x, (s["width"],), w, s["eps"])
        heads = lambda x: x.view(*rows, s["heads"], s["headDim"]).transpose(1, 2)

        def rotate(x):
            first, second = x.chunk(2, -1)
            return x * cos + torch.cat((-second, first), -1) * sin

        n = norm(h, self.norm1)
        q, k, v = rotate(heads(self.q(n))), rotate(heads(self.k(n))), heads(self.v(n))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.o(y.transpose(1, 2).reshape(*rows, s["width"]))
        n = norm(h, self.norm2)
        return h + self.down(F.silu(self.gate(n)) * self.up(n))


class Llama(nn.Module):
    def __init__(self, t, size):
        super().__init__()
        self.size = size
        self.embed = nn.Embedding.from_pretrained(t["embed"], freeze=True)
        self.layers = nn.ModuleList([Layer(t, f"layers.{i}", size) for i in range(size["layers"])])
        self.norm = nn.Parameter(t["norm"], requires_grad=False)
        self.lm_head = linear(t["lm_head"])
        half = size["headDim"] // 2
        rates = size["theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.arange(size["sequence"], dtype=torch.float64)[:, None] * rates
        angles = torch.cat((angles, angles), -1)
        self.cos, self.sin = angles.cos().float(), angles.sin().float()

    def forward(self, tokens):
        h = self.embed(tokens)
        for layer in self.layers:
            h = layer(h, self.cos, self.sin)
        return self.lm_head(F.rms_norm(h, (self.size["width"],), self.norm, self.size["eps"]))


class Wrapped(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


def with_peft(module, targets, r, scale):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=r, lora_alpha=scale * r, target_modules=targets)
    return get_peft_model(module, config)


def lora_layer(workload, t, scale, peft):
    if peft:
        model = with_peft(Wrapped(linear(t["w"])), ["layer"], workload["sizes"]["r"], scale)
        wrapped = model.base_model.model.layer
        a, b = wrapped.lora_A["default"].weight, wrapped.lora_B["default"].weight
        with torch.no_grad():
            a.copy_(t["a"]), b.copy_(t["b"])
    else:
        model = Lora(linear(t["w"]), t["a"], t["b"], scale)
        a, b = model.a, model.b
    x = t["x"].requires_grad_()
    return lambda: F.mse_loss(model(x), t["t"]), {"a": a, "b": b}, {"x": x}


def full_layer(t):
    w, x = nn.Parameter(t["w"]), t["x"].requires_grad_()
    return lambda: F.mse_loss(F.linear(x, w), t["t"]), {"w": w}, {"x": x}


def transformer(workload, t, scale, peft):
    size = workload["sizes"]
    model = Llama(t, size)
    trained = {}
    if peft:
        model = with_peft(model, ["q", "v"], size["rank"], scale)
    layers = (model.base_model.model if peft else model).layers
    for i, layer in enumerate(layers):
        for name in ["q", "v"]:
            at = f"layers.{i}.{name}"
            if peft:
                wrapped = getattr(layer, name)
                a, b = wrapped.lora_A["default"].weight, wrapped.lora_B["default"].weight
                with torch.no_grad():
                    a.copy_(t[f"{at}.a"]), b.copy_(t[f"{at}.b"])
            else:
                wrapped = Lora(getattr(layer, name), t[f"{at}.a"], t[f"{at}.b"], scale)
                setattr(layer, name, wrapped)
                a, b = wrapped.a, wrapped.b
            trained[f"{at}.a"], trained[f"{at}.b"] = a, b
    tokens, targets = t["tokens"][:, :-1], t["tokens"][:, 1:].reshape(-1)
    loss = lambda: F.cross_entropy(model(tokens).reshape(-1, size["vocabulary"]), targets)
    return loss, trained, {}


class Training:
    def __init__(self, loss, trained, inputs, lr, adamw):
        self.loss, self.trained, self.inputs = loss, trained, inputs
        self.optimizer = torch.optim.AdamW(
            trained.values(),
            lr=lr,
            betas=(adamw["beta1"], adamw["beta2"]),
            eps=adamw["eps"],
            weight_decay=adamw["weightDecay"],
        )

    def backward(self):
        for item in [*self.trained.values(), *self.inputs.values()]:
            item.grad = None
        loss = self.loss()
        loss.backward()
        return loss

    def step(self):
        loss = self.backward()
        self.optimizer.step()
        return loss.item()

    def check(self, save):
        self.backward()
        gradients = {k: v.grad for k, v in {**self.trained, **self.inputs}.items()}
        saved = save("gradients", gradients)
        losses = [self.step() for _ in range(5)]
        return {"gradients": saved, "losses": losses, "parameters": save("parameters", self.trained)}


class Product:
    def __init__(self, t):
        self.x, self.w = t["x"], t["w"]

    def step(self):
        with torch.no_grad():
            return F.linear(self.x, self.w)

    def check(self, save):
        return {"product": save("product", {"c": self.step()})}


def create(engine, workload, scale, adamw):
    t = tensors_of(workload)
    peft = engine.endswith("peft")
    if workload["kind"] == "product":
        return Product(t)
    made = {
        "lora": lambda: lora_layer(workload, t, scale, peft),
        "full": lambda: full_layer(t),
        "transformer": lambda: transformer(workload, t, scale, peft),
    }[workload["kind"]]()
    return Training(*made, workload["lr"], adamw)


def version(engine):
    if engine.endswith("peft"):
        import peft

        return f"{torch.__version__}, peft {peft.__version__}"
    return torch.__version__


def main():
    engine, folder = sys.argv[1], sys.argv[3]
    say = lambda answer: print(json.dumps(answer), flush=True)
    setting = json.loads(sys.stdin.readline())
    run = create(engine, setting["workload"], setting["scale"], setting["adamw"])
    say({"ready": True, "version": version(engine)})

    def save(what, arrays):
        path = f"{folder}/{what}.f32"
        flat = {k: v.detach().numpy().astype(np.float32).ravel() for k, v in arrays.items()}
        np.concatenate(list(flat.values())).tofile(path)
        tensors = [{"tensor": k, "length": len(v)} for k, v in flat.items()]
        return {"path": path, "tensors": tensors}

    for line in sys.stdin:
        message = json.loads(line)
        if message["ask"] == "check":
            say(run.check(save))
        elif message["ask"] == "sample":
            calls = message["calls"]
            used, start = time.process_time(), time.perf_counter()
            for _ in range(calls):
                run.step()
            seconds = min(time.perf_counter() - start, time.process_time() - used)
            say({"seconds": max(seconds, 1e-9) / calls})
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            say({"peak": peak})
            return


try:
    main()
except Exception as error:
    print(json.dumps({"error": repr(error)}), flush=True)
    sys.exit(1)
