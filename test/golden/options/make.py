"""Makes the cases of this folder: adapters with PEFT's options beside low-rank updates, over a tiny Llama.

    python3 make.py OUT        (torch 2.13, transformers 5.18, peft 0.21)

Every trained tensor is moved away from its start; `logits.json` holds the logits for IDS.
"""

import json
import os
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

IDS = [[3, 7, 1, 9, 5], [7, 2, 11, 0, 4]]
TIED = {"ensure_weight_tying": True}
CASES = {
    "bias_all": dict(target_modules=["q_proj"], bias="all"),
    "bias_lora": dict(target_modules=["q_proj", "up_proj"], bias="lora_only"),
    "dora_emb": dict(target_modules=["q_proj", "embed_tokens"], use_dora=True),
    "param": dict(target_modules=["q_proj"], target_parameters=["mlp.up_proj.weight"]),
    "save": dict(target_modules=["q_proj"], modules_to_save=["lm_head", "norm"]),
    "save_embed_tied": dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"], **TIED),
    "save_embed_untied": dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
    "target_head_tied": dict(target_modules=["lm_head"]),
    "tokens": dict(target_modules=["q_proj"], trainable_token_indices=[7, 2, 3]),
    "tokens_dict": dict(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [1, 9]}),
    "tokens_tied": dict(target_modules=["q_proj"], trainable_token_indices=[7, 2, 3]),
}
TIED_BASES = {"save_embed_tied", "save_embed_untied", "target_head_tied", "tokens_tied"}


def make(out, name, options):
    torch.manual_seed(3)
    tied = name in TIED_BASES
    base = os.path.join(out, "base_tied" if tied else "base")
    sizes = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2)
    heads = dict(num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32)
    biases = dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=tied)
    model = LlamaForCausalLM(LlamaConfig(**sizes, **heads, **biases))
    for key, parameter in model.named_parameters():
        if "norm" in key:
            parameter.data.uniform_(0.5, 1.5)
        else:
            parameter.data.normal_(0, 0.3)
    model.save_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=2, lora_alpha=6, task_type="CAUSAL_LM", **options)
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
    adapted.eval()
    with torch.no_grad():
        logits = adapted(torch.tensor(IDS)).logits.flatten().tolist()
    folder = os.path.join(out, name)
    adapted.save_pretrained(folder)
    with open(os.path.join(folder, "logits.json"), "w") as file:
        json.dump({"base": os.path.basename(base), "logits": logits}, file)


for case, case_options in CASES.items():
    make(sys.argv[1], case, case_options)
