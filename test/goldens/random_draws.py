"""Writes random.json: Threefry blocks from jax, normal quantiles from mpmath, and whole streams made from the two.

Run as `python3 random_draws.py` with jax, numpy and mpmath installed. (Not random.py, which the scripts beside it would
import in place of Python's own module.)
"""

import json
from pathlib import Path

import mpmath
import numpy as np
from jax.extend.random import threefry_2x32

mpmath.mp.dps = 60
chooser = np.random.default_rng(20)


def block(key0, key1, counter0, counter1):
    words = threefry_2x32(np.array([key0, key1], np.uint32), np.array([counter0, counter1], np.uint32))
    return [int(word) for word in words]


def upper_quantile(u):
    """The z with P(Z > z) = u, to 60 digits; u is taken as the exact value of the float."""
    return mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * mpmath.mpf(u))


def threefry_cases():
    rows = chooser.integers(0, 2**32, size=(40, 4), dtype=np.uint32).tolist()
    rows += [[0, 0, i, 0] for i in range(4)] + [[0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0], [2**31, 2**31, 2**31, 2**31]]
    return [row + block(*row) for row in rows]


def quantile_cases():
    tails = [2.0**-54, 3 * 2.0**-54, 5 * 2.0**-54, 0.5 - 2.0**-54, 0.5 - 2.0**-30, 0.25, 0.1, 0.025, 0.001]
    # Both sides of the two seams of the approximation: u = 0.075 and u = exp(-25).
    for seam in (0.075, float(mpmath.exp(-25))):
        tails += [seam * (1 + shift) for shift in (-1e-3, -1e-9, -2e-16, 0, 3e-16, 1e-9, 1e-3)]
    tails += [float(0.5 * 2.0 ** -e) for e in chooser.uniform(0, 53, 120)]
    tails += [float(u) for u in chooser.uniform(0, 0.5, 120)]
    return [[u, float(upper_quantile(u)), float(-mpmath.log(mpmath.mpf(u)))] for u in tails]


def stream(seed):
    """The five kinds of draw in a row, as random.ts defines them, in exact arithmetic."""
    key = (seed % 2**32, seed // 2**32)

    def word(draw, i):
        return block(*key, i // 2, draw)[i % 2]

    def normal(draw, i):
        high, low = block(*key, i, draw)
        k = high * 2**20 + (low >> 12)
        z = upper_quantile(mpmath.mpf(2 * k + 1) / 2**54)
        return float(np.float32(-z if low & 1 else z))

    def below(limit, draw, i):
        bits = block(*key, i, draw)
        while True:
            number = bits[0] * 2**21 + (bits[1] >> 11)
            if number < 2**53 // limit * limit:
                return number % limit
            bits = block(*key, *bits)

    order = list(range(12))
    for last in range(11, 0, -1):
        chosen = below(last + 1, 4, last)
        order[last], order[chosen] = order[chosen], order[last]
    return {
        "seed": seed,
        "uniform": [(word(0, i) >> 8) / 2**24 for i in range(7)],
        "normal": [normal(1, i) for i in range(16)],
        "bernoulli": [int(word(2, i) < 0.3 * 2**32) for i in range(24)],
        "integers": [below(1000003, 3, i) - 1000 for i in range(8)],
        "permutation": order,
    }


def main():
    cases = {
        "threefry": threefry_cases(),
        "quantiles": quantile_cases(),
        "streams": [stream(seed) for seed in (0, 42, 2**32 + 5, 2**53 - 1)],
    }
    lines = [f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]" for name, rows in cases.items()]
    Path(__file__).with_name("random.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
