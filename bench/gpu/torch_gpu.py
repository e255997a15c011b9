#!/usr/bin/env python3
"""The GPU bench's tasks in PyTorch, in float32 with TF32 off: its matrix product is the ceiling of the same GPU.

usage: torch_gpu.py TASK [cuda|cpu]

TASK is the JSON that bench/gpu.ts gives to its own tasks; every record is printed as a line of JSON (records.ts).
The model is that of ../hash-model.ts: the same hash gives the same weights, batches and losses.
"""

import json
import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F

VOCABULARY = 65
TEXT_LENGTH = 20000
# Milliseconds that a round lasts at least, and rounds.
ROUND = 300
ROUNDS = 5

task = json.loads(sys.argv[1])
device = torch.device(sys.argv[2] if len(sys.argv) > 2 else "cuda")
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
if hasattr(torch, "set_float32_matmul_precision"):
    torch.set_float32_matmul_precision("highest")


def report(section, row, **fields):
    record = {"engine": "pytorch", "round": task["round"], "section": section, "row": row, **fields}
    print(json.dumps(record), flush=True)


def finish():
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(body, count):
    """Milliseconds of `count` calls, the device's work included."""
    finish()
    start = time.perf_counter()
    for _ in range(count):
        body()
    finish()
    return (time.perf_counter() - start) * 1e3


def median_time(body, least, rounds, count=None):
    """Median over rounds of one call's milliseconds; a round lasts at least `least` of them."""
    timed(body, 2)
    if count is None:
        count = max(1, math.ceil(least / max(timed(body, 2) / 2, 1e-3)))
    return statistics.median(timed(body, count) / count for _ in range(rounds))


def mixed(index, seed):
    """The hash of ../hash-model.ts on int64, which wraps where the low 32 bits do not care; uniform in [0, 1)."""
    low = 0xFFFFFFFF
    x = (index * 2654435761 + (seed * 40503 + 12345)) & low
    for _ in range(2):
        x = ((x ^ (x >> 16)) * 0x45D9F3B) & low
    return (x ^ (x >> 16)).to(torch.float64) / 2**32


def weight(seed, shape, std=0.02):
    n = math.prod(shape)
    uniform = mixed(torch.arange(n, dtype=torch.int64, device=device), seed)
    return ((uniform * 2 - 1) * std * math.sqrt(3)).to(torch.float32).reshape(shape).requires_grad_()


def text():
    index = torch.arange(TEXT_LENGTH, dtype=torch.int64)
    jumps, sizes = mixed(index, 99).tolist(), mixed(index, 98).tolist()
    tokens = [0]
    for i in range(1, TEXT_LENGTH):
        jump = 1 + int(sizes[i] * 64) if jumps[i] < 0.2 else 0
        tokens.append((tokens[-1] * 5 + 3 + jump) % VOCABULARY)
    return torch.tensor(tokens)


def batches_of(size):
    tokens, B, T = text(), size["B"], size["T"]
    found = []
    for step in range(size["batches"]):
        places = mixed(torch.arange(step * B, (step + 1) * B, dtype=torch.int64), 7).tolist()
        starts = [int(u * (TEXT_LENGTH - T - 1)) for u in places]
        x = torch.stack([tokens[s : s + T] for s in starts])
        y = torch.stack([tokens[s + 1 : s + T + 1] for s in starts])
        found.append((x.to(device), y.to(device)))
    return found


class Model:
    """Parameters by name, and the loss."""

    def __init__(self, size, attention):
        self.layers, self.width, self.heads = size["layers"], size["width"], size["heads"]
        self.attention = attention
        d, residual = self.width, 0.02 / math.sqrt(2 * self.layers)

        def ones():
            return torch.ones(d, device=device, requires_grad=True)

        self.tokens = weight(1, (VOCABULARY, d))
        self.positions = weight(2, (size["T"], d))
        self.head = weight(3, (d, VOCABULARY))
        self.last_norm = ones()
        self.blocks = [
            {
                "first_norm": ones(),
                "inward": weight(10 + 10 * i, (d, 4 * d)),
                "outward": weight(11 + 10 * i, (d, d), residual),
                "second_norm": ones(),
                "up": weight(12 + 10 * i, (d, 4 * d)),
                "down": weight(13 + 10 * i, (4 * d, d), residual),
            }
            for i in range(self.layers)
        ]
        future = torch.ones(size["T"], size["T"], dtype=torch.bool, device=device).triu(1)
        self.mask = torch.zeros(size["T"], size["T"], device=device).masked_fill(future, float("-inf"))

    def parameters(self):
        return [self.tokens, self.positions, self.head, self.last_norm, *(p for b in self.blocks for p in b.values())]

    @staticmethod
    def norm(x, gain):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * gain

    def attend(self, q, k, v):
        if self.attention == "sdpa":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) + self.mask
        return scores.softmax(-1) @ v

    def loss(self, x, y):
        B, T = x.shape
        h = self.tokens[x] + self.positions
        for block in self.blocks:
            joined = self.norm(h, block["first_norm"]) @ block["inward"]
            q, k, v, gate = joined.split(self.width, -1)
            q, k, v = (part.reshape(B, T, self.heads, -1).transpose(1, 2) for part in (q, k, v))
            mixed_values = self.attend(q, k, v).transpose(1, 2).reshape(B, T, self.width)
            h = h + (mixed_values * gate.sigmoid()) @ block["outward"]
            up = self.norm(h, block["second_norm"]) @ block["up"]
            h = h + F.gelu(up, approximate="tanh") @ block["down"]
        logits = self.norm(h, self.last_norm) @ self.head
        return F.cross_entropy(logits.reshape(-1, VOCABULARY), y.reshape(-1))


def optimizer_of(model):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    options = {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8}
    try:
        return torch.optim.AdamW(groups, fused=device.type == "cuda", **options)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(groups, foreach=True, **options)


def measure_step(way, attention, compiled):
    name, size = task["name"], task["size"]
    model = Model(size, attention)
    optimizer = optimizer_of(model)
    batches = batches_of(size)
    loss_of = torch.compile(model.loss) if compiled else model.loss
    made = 0

    def step():
        nonlocal made
        x, y = batches[made % len(batches)]
        made += 1
        loss = loss_of(x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    first = step().item()
    for _ in range(size["batches"] - 1):
        step()
    with torch.no_grad():
        after = model.loss(*batches[0]).item()
    quick = task["quick"]
    milliseconds = median_time(step, ROUND, 1 if quick else ROUNDS, 3 if quick else None)
    report(
        "steps",
        name,
        way=way,
        batch=size["B"],
        milliseconds=milliseconds,
        tokensPerSecond=1e3 * size["B"] * size["T"] / milliseconds,
        loss0=first,
        lossAfterK=after,
        K=size["batches"],
    )


def steps(ways):
    for way, attention, compiled in ways:
        lacking = None
        if attention == "sdpa" and not hasattr(F, "scaled_dot_product_attention"):
            lacking = "scaled_dot_product_attention"
        if compiled and not hasattr(torch, "compile"):
            lacking = "torch.compile"
        if lacking:
            report("problem", f"{way} step of {task['name']}", why=f"PyTorch {torch.__version__} has no {lacking}")
            continue
        try:
            measure_step(way, attention, compiled)
        except RuntimeError as error:
            report("problem", f"{way} step of {task['name']}", why=str(error).strip().split("\n")[0])
        if device.type == "cuda":
            torch.cuda.empty_cache()


def products():
    for case in task["cases"]:
        batch, m, k, n = case["batch"], case["m"], case["k"], case["n"]
        leading = (batch,) if batch > 1 else ()
        a = torch.rand(*leading, m, k, device=device) * 2 - 1
        b = torch.rand(*leading, k, n, device=device) * 2 - 1
        if case["layout"] == "TN":
            a = a.transpose(-2, -1).contiguous().transpose(-2, -1)
        if case["layout"] == "NT":
            b = b.transpose(-2, -1).contiguous().transpose(-2, -1)
        out = torch.empty(*leading, m, n, device=device)
        milliseconds = median_time(lambda: torch.matmul(a, b, out=out), 100, ROUNDS)
        flops = 2 * batch * m * k * n
        report("products", case["row"], way="mm", milliseconds=milliseconds, tflops=flops / milliseconds / 1e9)


def machine():
    details = {"torch": torch.__version__, "python": sys.version.split()[0], "device": str(device)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(0)
        details.update(name=properties.name, cuda=torch.version.cuda, memory=properties.total_memory)
    report("machine", details.get("name", "cpu"), details=details)


if task["kind"] == "products":
    products()
elif task["kind"] == "steps":
    steps([("eager", "explicit", False), ("eager, sdpa", "sdpa", False)])
elif task["kind"] == "compiled":
    steps([("compiled, sdpa", "sdpa", True)])
elif task["kind"] == "machine":
    machine()
else:
    sys.exit(f"there is no task {task['kind']}")
