"""The transformer of "Gated Attention for Large Language Models", in the layout of its released checkpoints.

It is not in transformers. This is a reference written from the layout's description: pre-norm Qwen3 blocks whose query
projection also holds the gate's rows, grouped by key-value head. Names and shapes of the parameters are the released
ones; there is no tensor of its own for the gate.

    elementwise   q_proj has 2 H D rows: for each key-value head, G D query rows, then G D gate rows
    headwise      q_proj has H D + H rows: for each key-value head, G D query rows, then G gate rows
    none          q_proj has H D rows

Order: project, split, RMSNorm of q and k over D (weight 1 at the start), rotary positions over all of D, causal softmax
attention, times sigmoid(gate), output projection. With no gate it is transformers' Qwen3ForCausalLM (models.py holds the two
together). Where both flags are set, headwise wins; `qkv_bias` is of q, k, v and the output projection.

Letters: B batch, T time, C width, H heads, M key-value heads, G = H / M, D head width.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


def rotated(x, base: float):
    """x [B, T, heads, D] with dimensions i and i + D / 2 turned by position * base^(-2 i / D)."""
    time, width = x.shape[1], x.shape[-1]
    half = width // 2
    frequency = base ** (-2 * torch.arange(half, dtype=x.dtype) / width)
    angle = torch.arange(time, dtype=x.dtype)[:, None, None] * frequency
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)


class Attention(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        width, heads, groups = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
        self.heads, self.groups, self.head_width = heads, groups, config["head_dim"]
        self.base = config["rope_theta"]
        self.headwise = config["headwise_attn_output_gate"]
        self.elementwise = config["elementwise_attn_output_gate"] and not self.headwise
        bias = config["qkv_bias"]
        inner = heads * self.head_width
        gate = heads if self.headwise else inner if self.elementwise else 0
        self.q_proj = nn.Linear(width, inner + gate, bias=bias)
        self.k_proj = nn.Linear(width, groups * self.head_width, bias=bias)
        self.v_proj = nn.Linear(width, groups * self.head_width, bias=bias)
        self.o_proj = nn.Linear(inner, width, bias=bias)
        self.normed = config["use_qk_norm"]
        if self.normed:
            self.q_norm = RMSNorm(self.head_width, config["rms_norm_eps"])
            self.k_norm = RMSNorm(self.head_width, config["rms_norm_eps"])

    def forward(self, x):
        batch, time, _ = x.shape
        per_group = self.heads // self.groups
        grouped = self.q_proj(x).view(batch, time, self.groups, -1)
        query, gate = grouped.tensor_split([per_group * self.head_width], -1)
        query = query.reshape(batch, time, self.heads, self.head_width)
        key = self.k_proj(x).view(batch, time, self.groups, self.head_width)
        value = self.v_proj(x).view(batch, time, self.groups, self.head_width)
        if self.normed:
            query, key = self.q_norm(query), self.k_norm(key)
        query, key = rotated(query, self.base), rotated(key, self.base)
        key, value = (t.repeat_interleave(per_group, 2) for t in (key, value))
        scores = torch.einsum("bihd,bjhd->bhij", query, key) * self.head_width**-0.5
        future = torch.ones(time, time, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, float("-inf")).softmax(-1)
        out = torch.einsum("bhij,bjhd->bihd", weights, value)
        if self.headwise or self.elementwise:
            # headwise: [B, T, H, 1]; elementwise: [B, T, H, D]
            out = out * gate.reshape(batch, time, self.heads, -1).sigmoid()
        return self.o_proj(out.reshape(batch, time, -1))


class FeedForward(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = FeedForward(config)
        self.input_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.post_attention_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Block(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, tokens):
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class PaperModel(nn.Module):
    """Tokens [B, T] to logits [B, T, V]."""

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.tied = config["tie_word_embeddings"]
        if not self.tied:
            self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)

    def forward(self, tokens):
        x = self.model(tokens)
        return F.linear(x, self.model.embed_tokens.weight) if self.tied else self.lm_head(x)

    def save_pretrained(self, folder: Path | str) -> None:
        """config.json and model.safetensors, as a released folder has them; a tied head is not stored."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=2, sort_keys=True) + "\n")
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.named_parameters()}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def paper_config(gate: str, **given) -> dict:
    """The keys of the released config.json that say something about the model, with `gate` as its two flags."""
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
        "initializer_range": 0.02,
        "attention_dropout": 0.0,
        "torch_dtype": "float32",
        "use_qk_norm": True,
        "qkv_bias": False,
        "headwise_attn_output_gate": gate == "headwise",
        "elementwise_attn_output_gate": gate == "elementwise",
    }
    return config | given
