"""The gated delta rule in PyTorch, step by step and in chunks, as autograd differentiates it.

S_t = e^g_t (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T and out_t = K^(-1/2) S_t^T q_t, S [K, V], from S = 0
(Gated Delta Networks, arXiv 2412.06464, equation 10; chunks as in arXiv 2406.06484).
q, k [B, T, H, K], v [B, T, H, V], g and beta [B, T, H]; out [B, T, H, V].
"""

import torch

CHUNK = 64


def recurrent(q, k, v, g, beta):
    B, T, H, K = q.shape
    state = q.new_zeros(B, H, K, v.shape[-1])
    decay, q = g.exp(), q * K**-0.5
    out = []
    for t in range(T):
        state = state * decay[:, t, :, None, None]
        key = k[:, t, :, :, None]
        error = v[:, t] - (key * state).sum(-2)
        state = state + key * (beta[:, t, :, None] * error)[:, :, None, :]
        out.append((q[:, t, :, :, None] * state).sum(-2))
    return torch.stack(out, 1)


def chunked(q, k, v, g, beta):
    B, T, H, K = q.shape
    C = min(CHUNK, T)
    if T % C:
        raise ValueError(f"T {T} is no multiple of {C}")

    def in_chunks(x):
        """[B, T, H, ...] as [B, H, T / C, C, ...]."""
        return x.transpose(1, 2).unflatten(2, (T // C, C))

    q, k, v, g, beta = (in_chunks(x) for x in (q * K**-0.5, k, v, g, beta))
    decay = g.cumsum(-1)
    lower = torch.ones(C, C, dtype=torch.bool).tril()
    # e^(decay_i - decay_j) where i does not come before j: below 1, so that nothing overflows.
    between = (decay[..., :, None] - decay[..., None, :]).masked_fill(~lower, float("-inf")).exp()
    scaled_keys = k * beta[..., None]
    strictly = (scaled_keys @ k.transpose(-2, -1) * between).tril(-1)
    right = torch.cat([v * beta[..., None], scaled_keys * decay.exp()[..., None]], -1)
    solved = torch.linalg.solve_triangular(strictly + torch.eye(C), right, upper=False, unitriangular=True)
    values, keys = solved.split([v.shape[-1], K], -1)
    scores = q @ k.transpose(-2, -1) * between
    queries = q * decay.exp()[..., None]
    last = decay[..., -1:]
    kept = (k * (last - decay).exp()[..., None]).transpose(-2, -1)
    state = q.new_zeros(B, H, K, v.shape[-1])
    out = []
    for n in range(T // C):
        new = values[:, :, n] - keys[:, :, n] @ state
        out.append(queries[:, :, n] @ state + scores[:, :, n] @ new)
        state = state * last[:, :, n].exp()[..., None] + kept[:, :, n] @ new
    return torch.cat(out, 2).transpose(1, 2)
