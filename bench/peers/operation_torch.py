#!/usr/bin/env python3
"""One case of operation-cases.ts in PyTorch: prints a line of JSON.

operation_torch.py '{"case": {...}, "time": 300, "threads": 2}'
"""

import json
import math
import os
import resource
import statistics
import sys
import time

task = json.loads(sys.argv[1])
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(task["threads"])

import torch  # noqa: E402, the number of threads is read when it is loaded
import torch.nn.functional as F  # noqa: E402

import delta_torch  # noqa: E402

torch.set_num_threads(task["threads"])
case = task["case"]


def hashed(n, seed):
    """The hash of ../hash-model.ts on int64, which wraps where the low 32 bits do not care; uniform in [0, 1)."""
    low = 0xFFFFFFFF
    x = (torch.arange(n, dtype=torch.int64) * 2654435761 + (seed * 40503 + 12345)) & low
    for _ in range(2):
        x = ((x ^ (x >> 16)) * 0x45D9F3B) & low
    return (x ^ (x >> 16)).to(torch.float64) / 2**32


def input_of(given, seed):
    shape = given["shape"]
    uniform = hashed(math.prod(shape), seed).reshape(shape)
    if "below" in given:
        return (uniform * given["below"]).floor().to(torch.int64)
    low, high = given.get("low", -1), given.get("high", 1)
    return (low + uniform * (high - low)).to(torch.float32).requires_grad_()


def rms_norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def attention(q, k, v):
    """[B, T, H, D], causal; by PyTorch's own fused function where there is one."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
    T = q.shape[2]
    mask = torch.full((T, T), float("-inf")).triu(1)
    return (F.softmax((q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5 + mask, -1) @ v).transpose(1, 2)


operations = {
    "matmul": torch.matmul,
    "add": torch.add,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "softmax": lambda x: F.softmax(x, -1),
    "crossEntropy": F.cross_entropy,
    "rmsNorm": rms_norm,
    "attention": attention,
    "embedding": lambda table, tokens: F.embedding(tokens, table),
    "gatedDeltaRule": delta_torch.chunked if case.get("mode") == "chunked" else delta_torch.recurrent,
}


def optimizer_of(parameter):
    """The fastest that this version has on a CPU."""
    options = {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    try:
        return torch.optim.AdamW([parameter], fused=True, **options)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW([parameter], foreach=True, **options)


def median_time(body):
    """Median over samples of a millisecond or more, of one call's milliseconds."""

    def sample(calls):
        start = time.perf_counter()
        for _ in range(calls):
            body()
        return (time.perf_counter() - start) * 1e3 / calls

    limit, calls = task["time"], 1
    warm = time.perf_counter() + limit / 4000
    while True:
        calls = max(1, math.ceil(1 / sample(calls)))
        if time.perf_counter() >= warm:
            break
    end = time.perf_counter() + limit / 1000
    times = []
    while len(times) < 5 or time.perf_counter() < end:
        times.append(sample(calls))
    return statistics.median_high(times)


def largest_memory():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def root_mean_square(x):
    return x.detach().double().square().mean().sqrt().item()


rss_at_start = largest_memory()
inputs = [input_of(given, i + 1) for i, given in enumerate(case["inputs"])]
if case["operation"] == "adamW":
    parameter, gradient = inputs
    parameter.grad = gradient.detach()
    optimizer = optimizer_of(parameter)
    optimizer.step()
    checks = [root_mean_square(parameter)]
    forward, both = median_time(optimizer.step), None
else:
    operation = operations[case["operation"]]
    targets = [x for x in inputs if x.is_floating_point()]
    cotangent = None if case["result"] is None else input_of({"shape": case["result"]}, 100).detach()

    def run_forward():
        with torch.no_grad():
            return operation(*inputs)

    def run_both():
        result = operation(*inputs)
        return [result, *torch.autograd.grad(result, targets, cotangent)]

    forward = median_time(run_forward)
    checks = [root_mean_square(x) for x in run_both()]
    both = median_time(run_both)

print(
    json.dumps(
        {
            "lib": f"torch-{torch.__version__}",
            "forward": forward,
            "both": both,
            "checks": checks,
            "rss_mb": largest_memory(),
            "rss_start_mb": rss_at_start,
        }
    )
)
