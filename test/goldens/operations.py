"""Writes operations.json: float64 values and gradients of every operation, from references independent of the engine.

Run from anywhere with `python3 operations.py`; it needs jax and numpy. The tests read the JSON only.
Every gradient is held against central differences before anything is written.
"""

from pathlib import Path

import attention
import delta_rule
import elementwise
import movement
import reductions
from golden import STATISTICS, to_json

OPERATIONS = """
    add sub mul div pow maximum minimum equal notEqual less lessEqual greater greaterEqual where
    neg exp log sqrt rsqrt abs sin cos tanh sigmoid silu gelu relu softplus square reciprocal erf sign floor clamp
    sum mean max min logsumexp argmax cumsum softmax logSoftmax crossEntropy matmul einsum
    reshape transpose permute slice concat stack pad expand squeeze unsqueeze tril triu flip
    gather scatterAdd embedding topK oneHot rmsNorm layerNorm l2Norm rope causalConv1d dropout
    attentionWeights attention applyGate gatedAttention deltaRule gatedDeltaRule channelDeltaRule solveUnitLower
""".split()
WITHOUT_GRADIENT = "equal notEqual less lessEqual greater greaterEqual sign floor argmax oneHot".split()

SIZE_LIMIT = 700_000

# The engine's test allows 1e-10 of max(1, |value|); one unit roundoff in the inputs may use up a hundredth of it.
SENSITIVITY_LIMIT = 1e-12


def main():
    modules = (elementwise, reductions, movement, attention, delta_rule)
    cases = [item for module in modules for item in module.cases()]
    names = [(item["op"], item["case"]) for item in cases]
    assert len(set(names)) == len(names), "two cases of an operation share a name"
    for op in OPERATIONS:
        mine = [item for item in cases if item["op"] == op]
        assert len(mine) >= 2, f"{op} has {len(mine)} cases"
        differentiated = any(gradient is not None for item in mine for gradient in item["gradients"])
        assert differentiated == (op not in WITHOUT_GRADIENT), f"{op}: gradients"
    assert {op for op, _ in names} == set(OPERATIONS), "an operation is missing from the list"
    assert STATISTICS.worst_sensitivity <= SENSITIVITY_LIMIT, STATISTICS

    text = to_json(cases)
    assert len(text) < SIZE_LIMIT, f"{len(text)} bytes"
    Path(__file__).with_name("operations.json").write_text(text)
    print(f"{len(OPERATIONS)} operations, {STATISTICS.cases} cases, {len(text)} bytes")
    print(f"{STATISTICS.differences} central differences, worst relative error {STATISTICS.worst_difference:.2e}")
    print(f"one unit roundoff in the inputs moves values and gradients by {STATISTICS.worst_sensitivity:.2e} at most")


if __name__ == "__main__":
    main()
