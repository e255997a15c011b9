"""Goldens of reductions, scans, softmax and its losses, arg-maximum and top-k."""

import jax
import jax.numpy as jnp
import numpy as np
from golden import case, distinct, floats, integers, normal


def axes_of(axis):
    return tuple(axis) if isinstance(axis, list) else axis


def reduction(function):
    def reference(x, axis=None, keepdim=False):
        return function(x, axis=axes_of(axis), keepdims=keepdim)

    return reference


REDUCTIONS = {
    "sum": jnp.sum,
    "mean": jnp.mean,
    "max": jnp.max,
    "min": jnp.min,
    "logsumexp": jax.scipy.special.logsumexp,
}


def reduction_cases():
    for op, function in REDUCTIONS.items():
        reference = reduction(function)
        source = distinct if op in ("max", "min") else normal
        yield case(op, "every axis", reference, source(2, 3, 4))
        yield case(op, "first axis", reference, source(5, 7), {"axis": 0})
        yield case(op, "middle axis", reference, source(2, 5, 3), {"axis": 1})
        yield case(op, "last axis kept", reference, source(3, 7), {"axis": -1, "keepdim": True})
        yield case(op, "adjacent axes", reference, source(2, 3, 4), {"axis": [1, 2]})
        yield case(op, "axes apart, kept", reference, source(2, 3, 4), {"axis": [0, 2], "keepdim": True})
        yield case(op, "negative axes out of order", reference, source(2, 3, 4), {"axis": [-1, 0]})
        yield case(op, "every axis kept", reference, source(2, 3), {"keepdim": True})
        yield case(op, "axes of size one", reference, source(1, 3, 1), {"axis": [0, 2]})
        yield case(op, "rank 0", reference, source())
    large = floats([[1000.0, 1000.5, 999.0], [-1000.0, -1001.0, -1000.25], [-1000.0, 0.0, 1000.0]])
    yield case("logsumexp", "at a thousand", reduction(REDUCTIONS["logsumexp"]), large, {"axis": 1})
    yield case("sum", "large and small", reduction(jnp.sum), floats(1e3, 1e-6, -1e3, 3.0))

    for op, sign in (("max", 1.0), ("min", -1.0)):
        reference = reduction(REDUCTIONS[op])
        rows = sign * floats([[2.0, 5.0, 5.0, 1.0], [3.0, 3.0, 3.0, 0.0], [4.0, 4.0, 4.0, 4.0]])
        share = floats([[0, 1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3, 0], [1 / 4, 1 / 4, 1 / 4, 1 / 4]])
        yield case(
            op, "ties split evenly", reference, rows, {"axis": -1}, kink=True, stated=lambda c: [share * c[:, None]]
        )
        block = sign * floats([[[1.0, 7.0], [7.0, 2.0]], [[0.0, 3.0], [1.0, 2.0]]])
        parts = floats([[[0, 1 / 2], [1 / 2, 0]], [[0, 1], [0, 0]]])
        yield case(
            op,
            "ties across two axes",
            reference,
            block,
            {"axis": [1, 2], "keepdim": True},
            kink=True,
            stated=lambda c: [parts * c],
        )


def argmax(x, axis=-1):
    return jnp.argmax(x, axis=axis).astype(jnp.int32)


def cumsum(x, axis, reverse=False):
    return jnp.flip(jnp.cumsum(jnp.flip(x, axis), axis), axis) if reverse else jnp.cumsum(x, axis)


def top_k(x, k, axis=-1):
    values, order = jax.lax.top_k(jnp.moveaxis(x, axis, -1), k)
    return {"values": jnp.moveaxis(values, -1, axis), "indices": jnp.moveaxis(order, -1, axis).astype(jnp.int32)}


def scan_and_order_cases():
    yield case("argmax", "last axis unless given", argmax, distinct(3, 5), differentiable=False)
    yield case("argmax", "first axis", argmax, distinct(5, 3), 0, differentiable=False)
    yield case("argmax", "negative middle axis", argmax, distinct(2, 4, 3), -2, differentiable=False)
    ties = floats([[1.0, 3.0, 3.0, 2.0], [5.0, 5.0, 5.0, 5.0], [-2.0, -3.0, -1.0, -1.0]])
    yield case("argmax", "the first of ties", argmax, ties, -1, differentiable=False)
    yield case("argmax", "vector of negatives", argmax, floats([-3.0, -1.0, -2.0]), differentiable=False)

    yield case("cumsum", "first axis", cumsum, normal(5, 3), 0)
    yield case("cumsum", "last axis", cumsum, normal(2, 7), -1)
    yield case("cumsum", "middle axis reversed", cumsum, normal(2, 4, 3), 1, {"reverse": True})
    yield case("cumsum", "last axis reversed", cumsum, normal(2, 5), -1, {"reverse": True})
    yield case("cumsum", "axis of size one", cumsum, normal(2, 1, 3), 1)

    yield case("topK", "last axis unless given", top_k, distinct(3, 5), 2)
    yield case("topK", "first axis", top_k, distinct(5, 3), 3, {"axis": 0})
    yield case("topK", "negative middle axis", top_k, distinct(2, 4, 2), 1, {"axis": -2})
    yield case("topK", "everything sorted", top_k, distinct(2, 4), 4)


def softmax(x, axis=-1, scale=1.0, causal=False):
    """softmax(scale x); causal: row i of the last two axes [T, S] sees columns j <= i + S - T."""
    scores = scale * x
    if causal:
        rows, columns = x.shape[-2:]
        visible = np.arange(columns) <= np.arange(rows)[:, None] + columns - rows
        scores = jnp.where(visible, scores, -jnp.inf)
    return jax.nn.softmax(scores, axis=axis)


def log_softmax(x, axis=-1):
    return jax.nn.log_softmax(x, axis=axis)


def cross_entropy(logits, targets, ignoreIndex=None):
    """The mean over counted positions of logsumexp(logits) - logits[target]."""
    counted = np.ones(targets.shape, bool) if ignoreIndex is None else targets != ignoreIndex
    safe = np.where(counted, targets, 0)
    chosen = jnp.take_along_axis(logits, safe[..., None], axis=-1)[..., 0]
    losses = jax.scipy.special.logsumexp(logits, axis=-1) - chosen
    return jnp.sum(jnp.where(counted, losses, 0.0)) / counted.sum()


SPREAD = floats([[1000.0, 0.0, -1000.0], [-1000.0, -1000.5, -999.0], [30.0, -30.0, 29.5]])


def softmax_cases():
    for op, reference in {"softmax": softmax, "logSoftmax": log_softmax}.items():
        yield case(op, "last axis unless given", reference, normal(3, 7))
        yield case(op, "axis 0 of rank 3", reference, normal(4, 2, 3), 0)
        yield case(op, "middle axis of rank 3", reference, normal(2, 5, 3), 1)
        yield case(op, "negative axis", reference, normal(2, 3, 4), -2)
        yield case(op, "axis of size one", reference, normal(3, 1))
        yield case(op, "vector", reference, normal(5), 0)
        yield case(op, "large spread", reference, SPREAD, -1)
    yield case("softmax", "scaled", softmax, normal(2, 5), -1, {"scale": 0.35})
    yield case("softmax", "scaled, first axis", softmax, normal(4, 3), 0, {"scale": -1.5})
    yield case("softmax", "causal", softmax, normal(2, 4, 4), -1, {"causal": True})
    both = {"scale": 0.5, "causal": True}
    yield case("softmax", "causal, more columns than rows, scaled", softmax, normal(2, 3, 5), -1, both)

    yield case("crossEntropy", "rank 2", cross_entropy, normal(4, 5), integers([0, 4, 2, 2]))
    yield case("crossEntropy", "rank 3", cross_entropy, normal(2, 3, 4), integers([[0, 3, 1], [1, 2, 2]]))
    yield case("crossEntropy", "one position", cross_entropy, normal(7), integers(3))
    ignored = integers([[0, -100, 1], [-100, 2, -100]])
    yield case("crossEntropy", "ignored positions", cross_entropy, normal(2, 3, 4), ignored, {"ignoreIndex": -100})
    first = integers([0, 3, 0, 1, 2])
    yield case("crossEntropy", "a class as the ignored index", cross_entropy, normal(5, 4), first, {"ignoreIndex": 0})
    none = integers([1, 2, 0])
    yield case("crossEntropy", "ignored index absent", cross_entropy, normal(3, 3), none, {"ignoreIndex": -1})
    yield case("crossEntropy", "large spread", cross_entropy, SPREAD, integers([1, 2, 0]))


def cases():
    yield from reduction_cases()
    yield from scan_and_order_cases()
    yield from softmax_cases()
