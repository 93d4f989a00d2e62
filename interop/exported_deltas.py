"""What PEFT makes of the adapters in conformance/export: s·B·A of each layer [out, in], on layers of the
adapter's own shapes, under PEFT's names or, for GGUF, under llama.cpp's and in its order of rows.
"""

import json

from peft import (
    LoraConfig,
    get_peft_model,
    get_peft_model_state_dict,
    load_peft_weights,
    set_peft_model_state_dict,
)
from torch import nn
from transformers.pytorch_utils import Conv1D


def pairs(B, heads):
    return B.reshape(heads, 2, -1, B.shape[1]).swapaxes(1, 2).reshape(B.shape)


def thirds(B, heads):
    return B.reshape(heads, 3, -1, B.shape[1]).swapaxes(0, 1).reshape(B.shape)


def check_export(case, t, folder):
    """s·B·A by PEFT, on layers of the adapter's own shapes."""
    weights = load_peft_weights(str(folder / "adapter"), device="cpu")
    config = LoraConfig.from_pretrained(str(folder / "adapter"))
    base = json.loads((folder / "base/config.json").read_text())
    root = nn.Module()
    for key in [key for key in weights if "lora_A.weight" in key or "embedding_A" in key]:
        path = key.removeprefix("base_model.model.").rsplit(".lora_", 1)[0]
        B = weights[key.replace("lora_A", "lora_B").replace("embedding_A", "embedding_B")]
        size = weights[key].shape[1], B.shape[0]
        at = root
        *parents, last = path.split(".")
        for name in parents:
            if not hasattr(at, name):
                setattr(at, name, nn.Module())
            at = getattr(at, name)
        conv1d = base["model_type"] == "gpt2"
        fresh = nn.Embedding(*size) if "embedding" in key else Conv1D(*size[::-1]) if conv1d else nn.Linear(*size)
        setattr(at, last, fresh)
    config.inference_mode = False
    config.task_type = None
    model = get_peft_model(root, config)
    set_peft_model_state_dict(model, weights)
    if len(get_peft_model_state_dict(model)) != len(weights):
        raise ValueError("PEFT has other tensors than the file")
    model = model.double()
    heads = base.get("num_attention_heads", base.get("n_head"))
    order = {"attn_q": (pairs, heads), "attn_k": (pairs, base.get("num_key_value_heads"))}
    short = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"}
    short |= {"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down", "c_attn": "attn_qkv"}
    short |= {"attn.c_proj": "attn_output", "c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
    short |= {"query_key_value": "attn_qkv", "attention.dense": "attn_output"}
    found = {}
    for path, layer in model.base_model.model.named_modules():
        if not hasattr(layer, "get_delta_weight"):
            continue
        kind = "embedding" if isinstance(layer.get_base_layer(), nn.Embedding) else "linear"
        delta = layer.get_delta_weight("default")
        delta = delta.T if kind == "embedding" or base["model_type"] == "gpt2" else delta
        if case["kind"] != "gguf":
            found[f"delta.{path}"] = delta
            continue
        name = next((value for key, value in short.items() if path.endswith(key)), "token_embd")
        if base["model_type"] == "gpt_neox" and name == "attn_qkv":
            delta = thirds(delta, heads)
        elif base["model_type"] == "llama" and name in order:
            turn, count = order[name]
            delta = turn(delta, count)
        block = next((part for part in path.split(".") if part.isdigit()), None)
        found[f"delta.{name}.weight" if block is None else f"delta.blk.{block}.{name}.weight"] = delta
    return found
