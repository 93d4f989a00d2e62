"""Opens what lowrank wrote in transformers and PEFT and compares logits and greedy text.

    npm run interop                       # runs the demo's files through this script
    python interop/peft_check.py DIR      # DIR: as written by interop/write.ts

DIR holds expected.json (prompts as token ids, logits and greedy continuations of base, adapter and
merged model as lowrank computed them), adapter/ and merged/. Exits 0 and prints `skipped` where
torch, transformers or peft are not installed.
"""

import json
import sys
from pathlib import Path

TOLERANCE = 1e-4

try:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
except ImportError as error:
    print(f"skipped: {error.name} is not installed")
    sys.exit(0)


def scaled_error(got, want):
    return ((got - want).abs().max() / want.abs().max()).item()


def check(name, model, cases, key):
    failures = 0
    for case in cases:
        ids = torch.tensor([case["ids"]])
        with torch.no_grad():
            logits = model(ids).logits[0, -1].double()
            output = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=len(case[key]["greedy"]) + 1,
                do_sample=False,
                pad_token_id=0,
            )[0, ids.shape[1] :].tolist()
        error = scaled_error(logits, torch.tensor(case[key]["logits"], dtype=torch.float64))
        ends = model.generation_config.eos_token_id
        greedy = [t for t in output if t not in (ends if isinstance(ends, list) else [ends])]
        same = greedy[: len(case[key]["greedy"])] == case[key]["greedy"]
        if error > TOLERANCE or not same:
            failures += 1
            print(f"  {case['prompt']!r}: logits off by {error:.2e}, text {'equal' if same else 'DIFFERS'}")
    print(f"{name}: {len(cases) - failures} of {len(cases)} prompts agree")
    return failures


def main(folder):
    expected = json.loads((folder / "expected.json").read_text())
    base = expected["model"]
    load = lambda path: AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    cases = expected["cases"]
    failures = sum(tokenizer(case["prompt"])["input_ids"] != case["ids"] for case in cases)
    print(f"tokenizer: {len(cases) - failures} of {len(cases)} prompts agree")
    failures += check("base", load(base), cases, "base")
    adapted = PeftModel.from_pretrained(load(base), folder / "adapter").eval()
    failures += check("adapter", adapted, cases, "adapter")
    failures += check("merged", load(folder / "merged"), cases, "merged")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
