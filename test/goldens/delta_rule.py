"""Goldens of the delta rule, gated a head or a channel of the key, from the recurrence alone.

    S_t = (I - beta_t k_t k_t^T) Diag(exp(g_t)) S_{t-1} + beta_t k_t v_t^T        o_t = S_t^T (scale q_t)

g is one number a head (gatedDeltaRule) or one for each channel of the key (channelDeltaRule); S is [K, V] for each batch and head, scale is K^-0.5 unless given. The chunked algorithm has no reference of its own:
every case is written for the recurrent mode and for chunks of 4 and of 64, with the same expected values.

Letters: B batch, T time, H heads, K key width, V value width.
"""

import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from golden import Draw, case, directions, normal, uniform


def gated_delta_rule(q, k, v, g, beta, scale=None, state=None, chunk=64, mode="chunked"):
    (batch, _, heads, key_width), value_width = q.shape, v.shape[-1]
    scale = 1 / math.sqrt(key_width) if scale is None else scale
    initial = jnp.zeros((batch, heads, key_width, value_width)) if state is None else state
    decays = g if g.ndim == 4 else g[..., None]

    def step(before, token):
        q_t, k_t, v_t, g_t, beta_t = token
        erase = jnp.eye(key_width) - beta_t[..., None, None] * k_t[..., :, None] * k_t[..., None, :]
        write = beta_t[..., None, None] * k_t[..., :, None] * v_t[..., None, :]
        after = erase @ (jnp.exp(g_t)[..., None] * before) + write
        return after, jnp.einsum("bhkv,bhk->bhv", after, scale * q_t)

    tokens = [jnp.moveaxis(tensor, 1, 0) for tensor in (q, k, v, decays, beta)]
    final, out = jax.lax.scan(step, initial, tokens)
    return {"out": jnp.moveaxis(out, 0, 1), "state": final}


def delta_rule(q, k, v, beta, **options):
    return gated_delta_rule(q, k, v, np.zeros(beta.shape), beta, **options)


def bursts(*shape: int) -> Draw:
    """Log decays of a memory that mostly stays and is sometimes wiped: -0.01 to -0.5, every third token -30."""

    def sample(rng: np.random.Generator) -> np.ndarray:
        decay = np.round(rng.uniform(-0.5, -0.01, shape), 3)
        decay[:, 2::3] = -30.0
        return decay

    return Draw(sample)


def repeated_keys(*shape: int) -> Draw:
    """One key for every token: each write has to overwrite the last one."""

    def sample(rng: np.random.Generator) -> np.ndarray:
        first = directions(*shape).sample(rng)
        return np.repeat(first[:, :1], shape[1], axis=1)

    return Draw(sample)


MODES = [
    ("recurrent", {"mode": "recurrent"}),
    ("chunks of 4", {"mode": "chunked", "chunk": 4}),
    ("chunks of 64", {"mode": "chunked", "chunk": 64}),
]


def every_mode(op, name, reference, arguments, options):
    """The same draws in every mode: they are drawn once and handed to all."""
    rng = np.random.default_rng(zlib.crc32(f"{op}: {name}".encode()))
    draw = lambda item: item.sample(rng) if isinstance(item, Draw) else item
    tensors = [draw(item) for item in arguments]
    shared = {key: draw(item) for key, item in options.items()}
    for mode_name, mode in MODES:
        yield case(op, f"{name}, {mode_name}", reference, *tensors, {**shared, **mode})


def qkv(batch, time, heads, key_width, value_width):
    return (
        normal(batch, time, heads, key_width),
        directions(batch, time, heads, key_width),
        normal(batch, time, heads, value_width),
    )


def gated_cases():
    op, rule = "gatedDeltaRule", gated_delta_rule
    mild = uniform(-0.3, -0.01, 2, 6, 2)
    arguments = [*qkv(2, 6, 2, 3, 2), mild, uniform(0.1, 0.95, 2, 6, 2)]
    yield from every_mode(op, "no state", rule, arguments, {})
    arguments = [*qkv(1, 10, 2, 3, 2), uniform(-1, -0.05, 1, 10, 2), uniform(0.1, 1.9, 1, 10, 2)]
    yield from every_mode(op, "state, beta up to 2", rule, arguments, {"state": normal(1, 2, 3, 2)})
    arguments = [*qkv(1, 9, 1, 2, 3), bursts(1, 9, 1), uniform(0.1, 0.95, 1, 9, 1)]
    yield from every_mode(op, "strong decay", rule, arguments, {"state": normal(1, 1, 2, 3)})
    faint = Draw(lambda rng: np.round(rng.uniform(-2e-3, -5e-4, (1, 7, 1)), 6))
    arguments = [*qkv(1, 7, 1, 4, 2), faint, uniform(0.5, 1.9, 1, 7, 1)]
    yield from every_mode(op, "weak decay, own scale", rule, arguments, {"scale": 0.7})
    arguments = [*qkv(1, 70, 1, 2, 2), uniform(-0.2, -0.01, 1, 70, 1), uniform(0.1, 1.9, 1, 70, 1)]
    yield from every_mode(op, "longer than a chunk of 64", rule, arguments, {"state": normal(1, 1, 2, 2)})
    arguments = [*qkv(1, 8, 1, 2, 2), uniform(-0.3, -0.01, 1, 8, 1), uniform(0.5, 1.5, 1, 8, 1)]
    arguments[1] = repeated_keys(1, 8, 1, 2)
    yield from every_mode(op, "one key throughout", rule, arguments, {"state": normal(1, 1, 2, 2)})
    arguments = [*qkv(2, 1, 1, 2, 2), uniform(-0.3, -0.01, 2, 1, 1), uniform(0.5, 1.5, 2, 1, 1)]
    yield from every_mode(op, "one token", rule, arguments, {"state": normal(2, 1, 2, 2)})
    arguments = [*qkv(1, 5, 2, 2, 2), uniform(-0.3, -0.01, 1, 5, 2), uniform(0.1, 0.9, 1, 5, 2)]
    yield case(op, "every option left out", rule, *arguments)


def channel_cases():
    op, rule = "channelDeltaRule", gated_delta_rule
    arguments = [*qkv(2, 6, 2, 3, 2), uniform(-0.3, -0.01, 2, 6, 2, 3), uniform(0.1, 0.95, 2, 6, 2)]
    yield from every_mode(op, "no state", rule, arguments, {})
    arguments = [*qkv(1, 10, 2, 3, 2), uniform(-1, -0.05, 1, 10, 2, 3), uniform(0.1, 1.9, 1, 10, 2)]
    yield from every_mode(op, "state, beta up to 2, own scale", rule, arguments, {"scale": 0.7, "state": normal(1, 2, 3, 2)})
    arguments = [*qkv(1, 9, 1, 2, 3), bursts(1, 9, 1, 2), uniform(0.1, 0.95, 1, 9, 1)]
    yield from every_mode(op, "strong decay", rule, arguments, {"state": normal(1, 1, 2, 3)})
    arguments = [*qkv(1, 20, 1, 2, 2), uniform(-0.2, -0.01, 1, 20, 1, 2), uniform(0.1, 1.9, 1, 20, 1)]
    yield case(op, "longer than a chunk of 16", rule, *arguments, {"state": normal(1, 1, 2, 2), "mode": "chunked", "chunk": 16})
    arguments = [*qkv(1, 5, 2, 2, 2), uniform(-0.3, -0.01, 1, 5, 2, 2), uniform(0.1, 0.9, 1, 5, 2)]
    yield case(op, "every option left out", rule, *arguments)


def plain_cases():
    op, rule = "deltaRule", delta_rule
    arguments = [*qkv(2, 5, 2, 2, 2), uniform(0.1, 0.95, 2, 5, 2)]
    yield from every_mode(op, "no state", rule, arguments, {})
    arguments = [*qkv(1, 9, 1, 3, 2), uniform(0.1, 1.9, 1, 9, 1)]
    options = {"scale": 1.0, "state": normal(1, 1, 3, 2)}
    yield from every_mode(op, "state, beta up to 2, own scale", rule, arguments, options)
    yield case(op, "every option left out", rule, *qkv(1, 5, 1, 2, 3), uniform(0.1, 0.9, 1, 5, 1))


def prove_order_of_steps():
    """The matrix form above against the order of an implementation: decay, read, correct, write, read out."""
    rng = np.random.default_rng(7)
    q, k, v = rng.standard_normal((3, 1, 6, 1, 4))
    beta, start = rng.uniform(0, 2, (1, 6, 1)), rng.standard_normal((4, 4))
    for g in (rng.uniform(-1, 0, (1, 6, 1)), rng.uniform(-1, 0, (1, 6, 1, 4))):
        prove_order(q, k, v, g, beta, start)


def prove_order(q, k, v, g, beta, state):
    want = gated_delta_rule(q, k, v, g, beta, state=state[None, None])
    for t in range(6):
        state = np.exp(np.broadcast_to(g[0, t, 0], 4))[:, None] * state
        state = state + np.outer(k[0, t, 0], beta[0, t, 0] * (v[0, t, 0] - state.T @ k[0, t, 0]))
        assert np.allclose(state.T @ q[0, t, 0] / 2, want["out"][0, t, 0], rtol=0, atol=1e-12)
    assert np.allclose(state, want["state"][0, 0], rtol=0, atol=1e-12)


def cases():
    prove_order_of_steps()
    yield from gated_cases()
    yield from channel_cases()
    yield from plain_cases()
