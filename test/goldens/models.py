"""Writes models/: small random models in the layouts that the hub reads, with their logits and gradients in float64.

    pip install torch transformers==5.24.0 safetensors
    python3 models.py              writes every case (about two minutes)
    python3 models.py NAME ...     writes the named ones

See model_golden.py for what a folder holds and how it is proved. Weights depend on the case's name only.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from model_golden import Case, Report, write
from paper_model import PaperModel, paper_config
from transformers import (
    Qwen3_5Config,
    Qwen3_5ForCausalLM,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5MoeForCausalLM,
    Qwen3_5MoeTextConfig,
    Qwen3_5TextConfig,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
)

SIZE_LIMIT = 3_000_000

# Plain paths: neither scaled dot-product kernels nor grouped products, which have their own roundings.
PLAIN = {"attn_implementation": "eager", "experts_implementation": "eager"}

SMALL = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 6,
    "linear_value_head_dim": 8,
    "max_position_embeddings": 512,
    "full_attention_interval": 2,
}

EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 8,
    "shared_expert_intermediate_size": 12,
}

DENSE = {"num_experts": 0}


def rope(base: float, share: float) -> dict:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": base, "partial_rotary_factor": share}}


def hugging_face(configuration, model):
    def case(name: str, time: int, *, batch=2, with_balance_gradient=False, oracle=None, whole=Case.whole, **settings):
        def make():
            # Initial weights do not matter, but drawing them must not depend on who drew before.
            torch.manual_seed(0)
            config = configuration(**(SMALL | settings))
            config._attn_implementation = PLAIN["attn_implementation"]
            config._experts_implementation = PLAIN["experts_implementation"]
            return model(config)

        return Case(name, make, time, batch, with_balance_gradient, oracle, whole)

    return case


next_case = hugging_face(Qwen3NextConfig, Qwen3NextForCausalLM)
dense_case = hugging_face(Qwen3_5TextConfig, Qwen3_5ForCausalLM)
moe_case = hugging_face(Qwen3_5MoeTextConfig, Qwen3_5MoeForCausalLM)


def with_images(text: torch.nn.Module) -> torch.nn.Module:
    """The model that also sees images, as Qwen3.5 is released, with `text` as its part for text."""
    torch.manual_seed(0)
    vision = {
        "depth": 1,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_heads": 2,
        "patch_size": 2,
        "spatial_merge_size": 1,
        "num_position_embeddings": 4,
        "out_hidden_size": text.config.hidden_size,
    }
    tied = text.config.tie_word_embeddings
    config = Qwen3_5Config(text_config=text.config.to_dict(), vision_config=vision, tie_word_embeddings=tied)
    config._attn_implementation = config.text_config._attn_implementation = PLAIN["attn_implementation"]
    whole = Qwen3_5ForConditionalGeneration(config).to(text.dtype)
    whole.model.language_model.load_state_dict(text.model.state_dict())
    whole.lm_head.load_state_dict(text.lm_head.state_dict())
    return whole.eval()


def by_the_whole(text: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    return with_images(text)(tokens, use_cache=False).logits


def paper_case(name: str, time: int, gate: str, oracle=None, **settings) -> Case:
    sizes = {key: value for key, value in SMALL.items() if key != "full_attention_interval" and "linear" not in key}
    config = paper_config(gate, **(sizes | settings))

    def make():
        torch.manual_seed(0)
        return PaperModel(config)

    return Case(name, make, time, oracle=oracle)


def stock_qwen3(model: PaperModel, tokens: torch.Tensor) -> torch.Tensor:
    """The paper's baseline is plain Qwen3: transformers' own class, with the same weights, in float64."""
    kept = {key: value for key, value in model.config.items() if not key.endswith("gate") and "qk" not in key}
    config = Qwen3Config(**{key: v for key, v in kept.items() if key not in ("architectures", "torch_dtype")})
    config._attn_implementation = "eager"
    stock = Qwen3ForCausalLM(config).double()
    stock.model.rotary_emb.inv_freq = stock.model.rotary_emb.compute_default_rope_parameters(config)[0]
    missing, unexpected = stock.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected and all("lm_head" in name for name in missing), (missing, unexpected)
    stock.tie_weights()
    return stock(tokens, use_cache=False).logits


CASES = [
    # Qwen3-Next. Query heads a key-value head 1, 2, 4; value heads a key head 1, 2; longer than a chunk of 64 once.
    next_case("next-dense", 21, **DENSE, **rope(10000.0, 0.5)),
    next_case(
        "next-dense-interval-4",
        70,
        batch=1,
        num_hidden_layers=4,
        num_attention_heads=4,
        linear_num_value_heads=4,
        **DENSE,
        **rope(1e7, 0.25),
    ),
    next_case(
        "next-bias-tied",
        19,
        num_key_value_heads=2,
        linear_num_value_heads=4,
        linear_conv_kernel_dim=3,
        attention_bias=True,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        **DENSE,
        **rope(500.0, 1.0),
    ),
    next_case("next-experts", 21, with_balance_gradient=True, **EXPERTS, **rope(10000.0, 0.5)),
    next_case(
        "next-experts-not-normalised",
        13,
        num_attention_heads=4,
        num_key_value_heads=2,
        linear_num_value_heads=4,
        norm_topk_prob=False,
        router_aux_loss_coef=0.01,
        **(EXPERTS | {"num_experts_per_tok": 1}),
        **rope(10000.0, 0.5),
    ),
    next_case(
        "next-experts-sparse-step",
        13,
        num_hidden_layers=4,
        decoder_sparse_step=2,
        mlp_only_layers=[1],
        full_attention_interval=4,
        **(EXPERTS | {"num_experts": 5, "num_experts_per_tok": 3}),
        **rope(10000.0, 0.5),
    ),
    # Qwen3.5, whose delta layers have their projections apart.
    dense_case("qwen3.5", 21, linear_num_value_heads=4, **rope(1e7, 0.25)),
    dense_case(
        "qwen3.5-tied",
        70,
        batch=1,
        num_hidden_layers=4,
        full_attention_interval=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        **rope(10000.0, 0.5),
    ),
    dense_case("qwen3.5-with-images", 13, oracle=by_the_whole, whole=with_images, **rope(1e7, 0.25)),
    moe_case("qwen3.5-experts", 21, linear_num_value_heads=4, with_balance_gradient=True, **EXPERTS, **rope(10000.0, 0.5)),
    # The paper's own layout: Qwen3 and a gate in q_proj.
    paper_case("paper-none", 21, "none", stock_qwen3, num_attention_heads=4, num_key_value_heads=2),
    paper_case("paper-headwise", 21, "headwise", num_attention_heads=4, num_key_value_heads=2),
    paper_case("paper-elementwise", 21, "elementwise", num_attention_heads=4, num_key_value_heads=2),
    paper_case(
        "paper-elementwise-bias-untied",
        13,
        "elementwise",
        num_attention_heads=4,
        num_key_value_heads=1,
        qkv_bias=True,
        tie_word_embeddings=False,
        rope_theta=1e6,
    ),
    paper_case("paper-headwise-no-norm", 13, "headwise", num_attention_heads=2, num_key_value_heads=2, use_qk_norm=False),
]


def main(names: list[str]) -> None:
    unknown = set(names) - {case.name for case in CASES}
    assert not unknown, f"no such case: {sorted(unknown)}"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    root = Path(__file__).with_name("models")
    report = Report()
    for case in CASES:
        if not names or case.name in names:
            write(case, root / case.name, report)
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    assert size < SIZE_LIMIT, f"{size} bytes"
    print(f"{len(CASES)} cases, {size} bytes in all; transformers {transformers.__version__}, torch {torch.__version__}")
    print(f"float32 is off by {report.worst_float32_logits:.1e} in logits, {report.worst_float32_gradient:.1e} in gradients")
    print(f"one unit in the last place of the weights moves logits and gradients by {report.worst_sensitivity:.1e}")


if __name__ == "__main__":
    main(sys.argv[1:])
