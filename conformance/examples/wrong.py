"""The same with a fault that has been seen in the wild: the scale multiplies the base layer, too.

    lowrank verify test/golden/layers --command "python3 conformance/examples/wrong.py"
"""

from lora import lora, main


def wrong(t, s, d=1):
    outputs = lora(t, s, d)
    update = outputs["y"] - outputs["y_base"]
    bias = t.get("base.bias", 0)
    return {**outputs, "y": s * (outputs["y_base"] - bias) + update + bias}


if __name__ == "__main__":
    main(wrong)
