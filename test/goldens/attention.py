"""Goldens of what a transformer layer is made of: norms, rotary positions, causal convolution, attention, gates.

Letters: B batch, T time of the queries, S time of the keys, H heads, KV key-value heads, D head width, C channels.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from golden import Constant, case, floats, normal, uniform


def rms_norm(x, weight, eps=1e-6, zeroCentred=False):
    scale = 1 + weight if zeroCentred else weight
    return x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + eps) * scale


def layer_norm(x, weight, bias, eps=1e-5):
    centred = x - jnp.mean(x, -1, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(centred**2, -1, keepdims=True) + eps) * weight + bias


def l2_norm(x, eps=1e-6):
    return x / jnp.sqrt(jnp.sum(x**2, -1, keepdims=True) + eps)


def norm_cases():
    # A row of zeros has the length scale sqrt(eps), 1e-3: the step has to be far below it.
    flat = floats([[0.0, 0.0, 0.0], [1e-4, -2e-4, 3e-4], [1e3, -2e3, 5e2]])
    flat_step = 1e-7
    yield case("rmsNorm", "rank 3", rms_norm, normal(2, 2, 5), normal(5))
    yield case("rmsNorm", "zero-centred weight", rms_norm, normal(3, 4), normal(4), {"zeroCentred": True})
    yield case("rmsNorm", "own eps", rms_norm, normal(2, 3), normal(3), {"eps": 0.1, "zeroCentred": False})
    yield case("rmsNorm", "rows of zero, small and large", rms_norm, flat, normal(3), step=flat_step)
    yield case("rmsNorm", "width one", rms_norm, normal(3, 1), normal(1))
    yield case("layerNorm", "rank 3", layer_norm, normal(2, 2, 5), normal(5), normal(5))
    yield case("layerNorm", "own eps", layer_norm, normal(3, 4), normal(4), normal(4), {"eps": 0.05})
    level = floats([[2.0, 2.0, 2.0], [5.0, 5.001, 4.999], [1e3, -2e3, 5e2]])
    yield case("layerNorm", "rows level, nearly level and large", layer_norm, level, normal(3), normal(3), step=1e-6)
    yield case("l2Norm", "rank 3", l2_norm, normal(2, 2, 5))
    yield case("l2Norm", "own eps", l2_norm, normal(3, 4), {"eps": 0.2})
    yield case("l2Norm", "rows of zero, small and large", l2_norm, flat, step=flat_step)


def rope(x, base=10000.0, dims=None, offset=0):
    """Rotates the pairs (i, i + dims/2) of the first `dims` elements by (offset + t) base^(-2i/dims)."""
    dims = x.shape[-1] if dims is None else dims
    half = dims // 2
    angles = (offset + np.arange(x.shape[1]))[:, None] * base ** (-2 * np.arange(half) / dims)
    pairs = (x[..., :half] + 1j * x[..., half:dims]) * np.exp(1j * angles)[None, :, None, :]
    return jnp.concatenate([pairs.real, pairs.imag, x[..., dims:]], -1)


def causal_conv(x, weight, bias=None, state=None):
    """out[b, t, c] = bias[c] + sum over w of weight[c, w] x[b, t - W + 1 + w, c], with `state` before t = 0."""
    width, time = weight.shape[1], x.shape[1]
    before = jnp.zeros((x.shape[0], width - 1, x.shape[2])) if state is None else state
    history = jnp.concatenate([before, x], 1)
    windows = np.arange(time)[:, None] + np.arange(width)
    out = jnp.einsum("btwc,cw->btc", history[:, windows], weight)
    return out if bias is None else out + bias


def dropout(x, p, training=True):
    """Nothing is dropped at p = 0 or outside training; the random case has no reference outside the engine."""
    assert p == 0 or not training
    return x + 0.0


def position_cases():
    yield case("rope", "every element", rope, normal(2, 3, 2, 4))
    yield case("rope", "first elements only", rope, normal(1, 4, 2, 6), {"dims": 4})
    yield case("rope", "offset", rope, normal(1, 3, 1, 4), {"offset": 5})
    yield case("rope", "base", rope, normal(1, 3, 1, 6), {"base": 500})
    far = {"base": 1e7, "dims": 2, "offset": 1000}
    yield case("rope", "base, first elements and far offset", rope, normal(2, 2, 1, 5), far)

    conv = causal_conv
    yield case("causalConv1d", "zeros before", conv, normal(2, 5, 3), normal(3, 4))
    yield case("causalConv1d", "bias", conv, normal(1, 4, 2), normal(2, 3), {"bias": normal(2)})
    yield case("causalConv1d", "state", conv, normal(2, 4, 2), normal(2, 4), {"state": normal(2, 3, 2)})
    both = {"bias": normal(3), "state": normal(1, 2, 3)}
    yield case("causalConv1d", "bias and state", conv, normal(1, 5, 3), normal(3, 3), both)
    short = {"state": normal(2, 3, 2)}
    yield case("causalConv1d", "shorter than the window", conv, normal(2, 1, 2), normal(2, 4), short)
    yield case("causalConv1d", "shorter than the window, zeros before", conv, normal(1, 2, 2), normal(2, 5))
    yield case("causalConv1d", "window of one", conv, normal(1, 3, 2), normal(2, 1))

    yield case("dropout", "nothing dropped at p = 0", dropout, normal(2, 3), 0)
    yield case("dropout", "nothing dropped outside training", dropout, normal(2, 3), 0.5, {"training": False})


ACTIVATIONS = {
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "identity": lambda x: x,
    "nsSigmoid": lambda x: 0.5 + 0.5 * jax.nn.sigmoid(x),
}


def apply_gate(y, gate, act="sigmoid", op="mul", shared=False):
    """y * act(gate) or y + act(gate); shared: the mean over heads of the activated scores serves every head."""
    score = ACTIVATIONS[act](gate)
    if shared:
        score = jnp.mean(score, axis=2, keepdims=True)
    if gate.ndim == 3:
        score = score[..., None]
    return y * score if op == "mul" else y + score


def attention_weights(q, k, causal=False, scale=None, mask=None):
    """softmax(scale q k^T + mask), [B, H, T, S]; query head h reads key-value head floor(h KV / H)."""
    (_, time, heads, width), (_, source, kv, _) = q.shape, k.shape
    scale = 1 / math.sqrt(width) if scale is None else scale
    scores = scale * jnp.einsum("bthd,bshd->bhts", q, k[:, :, np.arange(heads) * kv // heads])
    if mask is not None:
        scores = scores + mask
    if causal:
        visible = np.arange(source) <= np.arange(time)[:, None] + source - time
        scores = jnp.where(visible, scores, -jnp.inf)
    return jax.nn.softmax(scores, axis=-1)


def attention(q, k, v, gate=None, gateAct="sigmoid", gateOp="mul", gateShared=False, **options):
    """The values averaged with those weights, then the gate."""
    heads, kv = q.shape[2], v.shape[2]
    values = v[:, :, np.arange(heads) * kv // heads]
    out = jnp.einsum("bhts,bshd->bthd", attention_weights(q, k, **options), values)
    return out if gate is None else apply_gate(out, gate, gateAct, gateOp, gateShared)


def gated_attention(q, k, v, gate, **options):
    return attention(q, k, v, gate=gate, **options)


def qkv(batch, time, source, heads, kv, width):
    return normal(batch, time, heads, width), normal(batch, source, kv, width), normal(batch, source, kv, width)


def attention_cases():
    op = "attentionWeights"
    yield case(op, "everything visible", attention_weights, *qkv(2, 3, 3, 2, 2, 4)[:2])
    grouped = qkv(1, 2, 4, 4, 2, 3)[:2]
    yield case(op, "causal, grouped, fewer queries than keys", attention_weights, *grouped, {"causal": True})
    options = {"scale": 0.6, "mask": normal(2, 1, 3, 3)}
    yield case(op, "mask and scale", attention_weights, *qkv(2, 3, 3, 2, 1, 2)[:2], options)

    op = "attention"
    yield case(op, "everything visible", attention, *qkv(2, 3, 3, 2, 2, 4))
    yield case(op, "causal", attention, *qkv(2, 4, 4, 2, 2, 3), {"causal": True})
    yield case(op, "fewer queries than keys", attention, *qkv(1, 2, 5, 2, 2, 3))
    yield case(op, "causal, fewer queries than keys", attention, *qkv(2, 2, 5, 1, 1, 3), {"causal": True})
    yield case(op, "causal, one query", attention, *qkv(1, 1, 6, 2, 2, 3), {"causal": True})
    yield case(op, "grouped queries", attention, *qkv(1, 4, 4, 4, 2, 3), {"causal": True})
    yield case(op, "one key-value head", attention, *qkv(2, 3, 3, 3, 1, 2), {"causal": True})
    yield case(op, "grouped, fewer queries than keys", attention, *qkv(1, 3, 5, 4, 2, 2), {"causal": True})
    yield case(op, "own scale", attention, *qkv(1, 3, 3, 2, 2, 4), {"scale": 0.3, "causal": True})
    yield case(op, "odd sizes", attention, *qkv(1, 7, 7, 1, 1, 5), {"causal": True})
    yield case(op, "sizes of one", attention, *qkv(1, 1, 1, 1, 1, 1), {"causal": True})
    sharp = [normal(1, 4, 1, 3, scale=30), normal(1, 4, 1, 3, scale=10), normal(1, 4, 1, 3)]
    yield case(op, "sharp scores", attention, *sharp, {"causal": True}, step=1e-6)
    yield case(op, "mask [T, S]", attention, *qkv(2, 3, 3, 2, 2, 2), {"mask": normal(3, 3)})
    yield case(op, "mask [B, 1, 1, S]", attention, *qkv(2, 2, 4, 2, 1, 2), {"mask": normal(2, 1, 1, 4)})
    options = {"causal": True, "mask": normal(2, 3, 3)}
    yield case(op, "mask [H, T, S], causal", attention, *qkv(1, 3, 3, 2, 2, 2), options)
    # An infinite entry hides its key outright; there is nothing to differentiate it by.
    hidden = np.where(np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0]]) == 1, -np.inf, 0.0)
    yield case(op, "mask with infinities", attention, *qkv(1, 3, 4, 2, 2, 2), {"mask": Constant(hidden)})

    for act in ACTIVATIONS:
        for gate_op in ("mul", "add"):
            options = {"causal": True, "gate": normal(1, 3, 2, 2, scale=2), "gateAct": act, "gateOp": gate_op}
            yield case(op, f"gate [B, T, H, D], {act}, {gate_op}", attention, *qkv(1, 3, 3, 2, 2, 2), options)
    # The other activations of a headwise gate are among the cases of applyGate.
    options = {"causal": True, "gate": normal(1, 3, 2, scale=2)}
    yield case(op, "gate [B, T, H]", attention, *qkv(1, 3, 3, 2, 2, 2), options)
    options = {**options, "gateAct": "silu", "gateOp": "add"}
    yield case(op, "gate [B, T, H], silu, add", attention, *qkv(1, 3, 3, 2, 2, 2), options)
    yield case(op, "gate with the defaults", attention, *qkv(1, 3, 3, 4, 2, 2), {"gate": normal(1, 3, 4, 2)})
    shared = {"causal": True, "gateShared": True}
    options = {**shared, "gate": normal(2, 3, 2, 3)}
    yield case(op, "shared gate", attention, *qkv(2, 3, 3, 2, 2, 3), options)
    options = {**shared, "gate": normal(1, 3, 3), "gateAct": "nsSigmoid"}
    yield case(op, "shared gate [B, T, H]", attention, *qkv(1, 3, 3, 3, 1, 2), options)
    options = {**shared, "gate": normal(1, 3, 2, 2), "gateAct": "silu", "gateOp": "add"}
    yield case(op, "shared gate, silu, add", attention, *qkv(1, 3, 3, 2, 2, 2), options)
    options = {"causal": True, "scale": 0.8, "mask": normal(4, 2, 4), "gate": normal(1, 2, 4, 2)}
    yield case(op, "everything at once", attention, *qkv(1, 2, 4, 4, 2, 2), options)


def gate_cases():
    for act in ACTIVATIONS:
        for gate_op in ("mul", "add"):
            options = {"act": act, "op": gate_op, "shared": False}
            y, elements, heads = normal(1, 3, 2, 3), normal(1, 3, 2, 3, scale=2), normal(1, 3, 2, scale=2)
            yield case("applyGate", f"[B, T, H, D], {act}, {gate_op}", apply_gate, y, elements, options)
            yield case("applyGate", f"[B, T, H], {act}, {gate_op}", apply_gate, y, heads, options)
            options = {**options, "shared": True}
            yield case("applyGate", f"[B, T, H, D], {act}, {gate_op}, shared", apply_gate, y, elements, options)
    options = {"act": "sigmoid", "op": "mul", "shared": True}
    yield case("applyGate", "[B, T, H], sigmoid, mul, shared", apply_gate, normal(2, 2, 3, 2), normal(2, 2, 3), options)
    far = floats([-40.0, -30.0, 30.0, 40.0]).reshape(1, 2, 1, 2)
    for act in ACTIVATIONS:
        options = {"act": act, "op": "mul", "shared": False}
        yield case("applyGate", f"far scores, {act}", apply_gate, uniform(-1, 1, 1, 2, 1, 2), far, options)

    op = "gatedAttention"
    yield case(op, "defaults", gated_attention, *qkv(1, 3, 3, 2, 2, 3), normal(1, 3, 2, 3))
    yield case(op, "causal", gated_attention, *qkv(2, 3, 3, 2, 1, 2), normal(2, 3, 2, 2), {"causal": True})
    yield case(op, "gate [B, T, H]", gated_attention, *qkv(1, 4, 4, 2, 2, 2), normal(1, 4, 2), {"causal": True})
    options = {"causal": True, "gateAct": "nsSigmoid", "gateShared": True}
    yield case(op, "shared, grouped queries", gated_attention, *qkv(1, 3, 4, 4, 2, 2), normal(1, 3, 4, 2), options)
    options = {"scale": 0.4, "mask": normal(3, 3), "gateAct": "silu", "gateOp": "add"}
    yield case(op, "silu added, mask and scale", gated_attention, *qkv(1, 3, 3, 2, 2, 2), normal(1, 3, 2, 2), options)


def cases():
    yield from norm_cases()
    yield from position_cases()
    yield from attention_cases()
    yield from gate_cases()
