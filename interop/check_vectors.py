"""Computes the families of conformance/ that PyTorch and PEFT can compute, with them, and compares.

    python interop/check_vectors.py [DIR]     # DIR: conformance/ beside this folder if absent

layers (DoRA on several adapters, dropout with the stored masks), merge (DARE with the stored masks), optim
(skipped and clipped steps), init (PiSSA, OLoRA, MiCA) and export (what PEFT makes of the adapters), all in
float64. The draws of `random` and EVA are not asked; any other output that is not computed fails, and so does a family
without a tensor. Exits 0 and prints `skipped` where torch or peft is not installed.
"""

import json
import sys
from pathlib import Path

try:
    import torch
    from dropout_masks import Masked
    from exported_deltas import check_export
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file
    from torch import nn
    from transformers.pytorch_utils import Conv1D
except ImportError as error:
    print(f"skipped: {error.name} is not installed")
    sys.exit(0)

TOLERANCE = 1e-12


class Holder(nn.Module):
    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.layer(x)


def error(got, want):
    scale = want.abs().max().item() if want.numel() else 0
    off = (got.detach().double().reshape(want.shape) - want).abs().max().item()
    return off / scale if scale else off


def base_layer(kind, weight, bias):
    if kind == "linear":
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    elif kind == "conv1d":
        layer = Conv1D(weight.shape[1], weight.shape[0])
    else:
        layer = nn.Embedding(*weight.shape)
    layer = layer.double()
    layer.weight.data = weight.clone()
    if getattr(layer, "bias", None) is not None:
        layer.bias.data = torch.zeros_like(layer.bias) if bias is None else bias.clone()
    return layer


def lora_config(own, **more):
    names = {"r": "r", "lora_alpha": "lora_alpha", "use_rslora": "use_rslora", "use_dora": "use_dora"}
    return LoraConfig(**{key: own[name] for key, name in names.items() if name in own}, **more)


def factors(layer, kind, name):
    if kind == "embedding":
        return layer.lora_embedding_A[name], layer.lora_embedding_B[name]
    return layer.lora_A[name].weight, layer.lora_B[name].weight


def magnitude_of(layer, name):
    return layer.lora_magnitude_vector[name].weight


def peft_layer(case, t):
    """PEFT's layer with the stored adapters, and the magnitudes that it starts from itself."""
    kind, adapters = case["kind"], case["adapters"]
    model = Holder(layer=base_layer(kind, t["base.weight"], t.get("base.bias")))
    fan = {"fan_in_fan_out": kind == "conv1d"}
    starts = {}
    for i, (name, own) in enumerate(adapters.items()):
        config = lora_config({**own, "use_dora": False}, target_modules=["layer"], **fan)
        dora = lora_config(own, target_modules=["layer"], **fan)
        config = dora if own["use_dora"] else config
        if i == 0:
            model = get_peft_model(model, config, adapter_name=name, autocast_adapter_dtype=False)
        else:
            model.add_adapter(name, config)
    layer = model.base_model.model.layer.double()
    keys = ("lora_embedding_A", "lora_embedding_B") if kind == "embedding" else ("lora_A", "lora_B")
    for name, own in adapters.items():
        prefix = f"{name}." if len(adapters) > 1 else ""
        for factor, key in zip(factors(layer, kind, name), keys):
            factor.data = t[prefix + key].clone()
        if own["use_dora"]:
            layer.lora_magnitude_vector[name].update_layer(
                base_layer=layer.get_base_layer(),
                lora_A=factors(layer, kind, name)[0],
                lora_B=factors(layer, kind, name)[1],
                scaling=layer.scaling[name],
                place_on_cpu=False,
            )
            starts[f"{prefix}magnitude_init"] = magnitude_of(layer, name).detach().clone()
            magnitude_of(layer, name).data = t[f"{prefix}magnitude"].clone()
        if "dropout" in own:
            rule = own["dropout"]
            layer.lora_dropout[name] = Masked(rule["p"], rule["seed"], rule["stream"])
    return layer, starts


def rows_of(case, t):
    """PEFT has no rows of their own for DoRA, so that each row goes alone."""
    layer, _ = peft_layer(case, t)
    rows = []
    for i, name in enumerate(case["adapter_names"]):
        layer.set_adapter([] if name == "__base__" else [name])
        row = t["x"][i : i + 1]
        rows.append(layer.get_base_layer()(row) if name == "__base__" else layer(row))
    return {"y": torch.cat(rows)}


def check_layer(case, t):
    if "adapter_names" in case:
        return rows_of(case, t)
    layer, found = peft_layer(case, t)
    kind, adapters = case["kind"], case["adapters"]
    layer.set_adapter(case["active"])
    layer.train()
    base = layer.get_base_layer()
    for parameter in layer.parameters():
        parameter.requires_grad_(True)
    x = t["x"].clone()
    if kind != "embedding":
        x.requires_grad_(True)
    y = layer(x)
    (y * t["dy"]).sum().backward()
    found |= {"y": y, "y_base": base(x), "d_x": x.grad}
    if getattr(base, "bias", None) is not None:
        found["d_base.bias"] = base.bias.grad
    keys = ("lora_embedding_A", "lora_embedding_B") if kind == "embedding" else ("lora_A", "lora_B")
    for name, own in adapters.items():
        prefix = f"{name}." if len(adapters) > 1 else ""
        for factor, key in zip(factors(layer, kind, name), keys):
            found[f"d_{prefix}{key}"] = factor.grad
        if own["use_dora"]:
            found[f"d_{prefix}magnitude"] = magnitude_of(layer, name).grad
        found[f"{prefix}delta_weight"] = layer.get_delta_weight(name)
    if case["mergeable"]:
        layer.merge(adapter_names=case["active"])
        found["merged.weight"] = base.weight
        found["merged.bias"] = getattr(base, "bias", None)
    return found


def check_merge(case, t):
    sizes = case["parts"]
    model = Holder(lin=nn.Linear(*sizes["lin"]), emb=nn.Embedding(*sizes["emb"])).double()
    for i, (name, own) in enumerate(case["adapters"].items()):
        config = lora_config(own, target_modules=list(sizes))
        if i == 0:
            model = get_peft_model(model, config, adapter_name=name, autocast_adapter_dtype=False)
        else:
            model.add_adapter(name, config)
    model = model.double()
    layers = {part: getattr(model.base_model.model, part) for part in sizes}
    masks = []
    whole = case["combination_type"].endswith("svd")
    for part, layer in layers.items():
        kind = "embedding" if part == "emb" else "linear"
        keys = ("lora_embedding_A", "lora_embedding_B") if part == "emb" else ("lora_A", "lora_B")
        for name in case["adapters"]:
            for factor, key in zip(factors(layer, kind, name), keys):
                factor.data = t[f"{name}.{part}.{key}"].clone()
        for matrix in ["delta"] if whole else ["lora_A", "lora_B"]:
            masks += [t.get(f"mask.{name}.{part}.{matrix}") for name in case["adapters"]]
    original = torch.bernoulli
    torch.bernoulli = lambda like: turned(masks.pop(0), like)
    # PEFT makes tensors of the weights in the default type.
    torch.set_default_dtype(torch.float64)
    try:
        options = {"density": case["density"]} if "density" in case else {}
        options |= {"svd_rank": case["svd_rank"]} if "svd_rank" in case else {}
        names = list(case["adapters"])
        kind = case["combination_type"]
        model.add_weighted_adapter(names, case["weights"], "out", combination_type=kind, **options)
    finally:
        torch.bernoulli = original
        torch.set_default_dtype(torch.float32)
    found = {}
    for part, layer in layers.items():
        kind = "embedding" if part == "emb" else "linear"
        prefix = "lora_embedding_" if part == "emb" else "lora_"
        for factor, key in zip(factors(layer, kind, "out"), "AB"):
            found[f"out.{part}.{prefix}{key}"] = factor
        found[f"out.{part}.delta_weight"] = layer.get_delta_weight("out")
    return found


def turned(mask, like):
    """A mask as PEFT holds the matrix: an embedding's product lies the other way round."""
    return mask if mask.shape == like.shape else mask.T


def check_optim(case, t):
    shapes = range(len(case["shapes"]))
    parameters = [nn.Parameter(t[f"p{i}.start"].clone()) for i in shapes]
    groups = [{**group, "params": [parameters[i] for i in group["params"]]} for group in case["groups"]]
    optimizer = getattr(torch.optim, case["optimizer"])(groups, **case["arguments"])
    trajectory = [[p.detach().clone()] for p in parameters]
    for n in range(case["steps"]):
        for i, parameter in enumerate(parameters):
            parameter.grad = t[f"p{i}.grad"][n].clone()
        if all(p.grad.isfinite().all() for p in parameters):
            if "max_grad_norm" in case:
                nn.utils.clip_grad_norm_(parameters, case["max_grad_norm"])
            optimizer.step()
        elif n not in case["skipped"]:
            raise ValueError(f"step {n} is not said to be skipped")
        for i, parameter in enumerate(parameters):
            trajectory[i].append(parameter.detach().clone())
    found = {f"p{i}.trajectory": torch.stack(points) for i, points in enumerate(trajectory)}
    for i, parameter in enumerate(parameters):
        for name, value in optimizer.state[parameter].items():
            found[f"p{i}.state.{name}"] = value
    return found


def check_init(case, t):
    kind = case["kind"]
    if kind == "eva":
        return {}
    model = Holder(layer=base_layer(kind, t["base.weight"], None).float())
    init = case["init_lora_weights"]
    config = lora_config(case, target_modules=["layer"], init_lora_weights=init, fan_in_fan_out=kind == "conv1d")
    layer = get_peft_model(model, config).base_model.model.layer
    oriented = (lambda w: w) if kind == "linear" else (lambda w: w.T)
    A, B = (m.double() for m in factors(layer, kind, "default"))
    return {
        "exact.delta": layer.scaling["default"] * B @ A,
        "exact.residual": oriented(layer.get_base_layer().weight),
        "exact.A_gram": A.T @ A,
        "exact.B_projector": B @ B.T,
    }


CHECKS = {"layers": check_layer, "merge": check_merge, "optim": check_optim, "init": check_init}


def answers(family, case, t, folder):
    return check_export(case, t, folder) if family == "export" else CHECKS[family](case, t)


def problems_of(case, found, t, limit, errors):
    """What differs or is missing; EVA alone is not asked here."""
    for name in case["outputs"] if case["kind"] != "eva" else []:
        if found.get(name) is None:
            yield f"{name}: not computed"
            continue
        errors.append(error(found[name], t[name]))
        if not errors[-1] <= limit:
            yield f"{name}: off by {errors[-1]:.2e}, tolerance {limit:.0e}"


def check_family(root, family):
    """The number of tensors that were compared, and of problems."""
    cases = sorted((root / family).glob("*.json")) + sorted((root / family).glob("*/case.json"))
    failures, errors = 0, []
    for path in cases:
        case = json.loads(path.read_text())
        beside = path.with_name("data.safetensors") if path.name == "case.json" else path.with_suffix(".safetensors")
        t = load_file(beside)
        # PEFT starts adapters in float32, and sums files of float32.
        limit = case["tolerance"]["f32"] if family == "init" else TOLERANCE
        for problem in problems_of(case, answers(family, case, t, path.parent), t, limit, errors):
            failures += 1
            print(f"  {family}/{case['case']} {problem}")
    print(f"{family}: {len(cases)} cases, worst {max(errors, default=0.0):.1e}")
    return len(errors), failures


def main(root):
    counts = [check_family(root, family) for family in [*CHECKS, "export"]]
    compared, failures = (sum(column) for column in zip(*counts))
    print(f"{compared} tensors compared, {failures} differ or are missing")
    return failures == 0 and all(count > 0 for count, _ in counts)


if __name__ == "__main__":
    torch.manual_seed(0)
    here = Path(__file__).resolve().parent.parent / "conformance"
    sys.exit(0 if main(Path(sys.argv[1]) if len(sys.argv) > 1 else here) else 1)
