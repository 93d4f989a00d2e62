"""Dropout with the masks that a seed and a stream of the counter-based generator say.

Element i of x is dropped where word i of the stream is below p * 2**32, else it is x / (1 - p).
"""

import torch
from torch import nn

PHILOX = (0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85)


def words(seed, stream, count):
    """Philox4x32-10 of the counter (block, 0, stream, 0) under the key of the seed."""
    m0, m1, w0, w1 = PHILOX
    low = 0xFFFFFFFF
    out = []
    for block in range(-(-count // 4)):
        c, k = [block, 0, stream, 0], [seed & low, seed >> 32]
        for _ in range(10):
            a, b = m0 * c[0], m1 * c[2]
            c = [(b >> 32) ^ c[1] ^ k[0], b & low, (a >> 32) ^ c[3] ^ k[1], a & low]
            k = [(k[0] + w0) & low, (k[1] + w1) & low]
        out += c
    return out[:count]


class Masked(nn.Module):
    """Dropout that drops what the case says."""

    def __init__(self, p, seed, stream):
        super().__init__()
        self.rule = p, seed, stream

    def forward(self, x):
        p, seed, stream = self.rule
        drawn = torch.tensor(words(seed, stream, x.numel())).reshape(x.shape)
        return torch.where(drawn < int(p * 2**32), 0.0, x / (1 - p))
