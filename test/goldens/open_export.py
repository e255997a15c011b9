"""Opens a folder that Sluice exported with transformers, and writes the logits of some tokens.

    python3 open_export.py FOLDER OUT [--tokens FILE] [--dtype float32|float64]

FOLDER holds config.json and model.safetensors. FILE is a safetensors file with `tokens`, int32 [B, T]; without it, tokens are
drawn: [2, 32] from the vocabulary, seed 0. OUT is a safetensors file: `tokens`, and `logits` [B, T, V]. Weights that the file
lacks, or that the model does not know, are an error: transformers would only warn, and draw the missing ones at random.

A folder in the layout of the gated-attention paper is opened by the reference in paper_model.py, since transformers' own
Qwen3 would not know the gate.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from model_golden import Float64, widened
from paper_model import PaperModel, paper_config
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM


def open_folder(folder: Path) -> torch.nn.Module:
    config = json.loads((folder / "config.json").read_text())
    gates = [config.get(f"{grain}_attn_output_gate") for grain in ("headwise", "elementwise")]
    if any(gate is not None for gate in gates):
        model = PaperModel(paper_config("none") | config)
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return model.eval()
    # Plain paths: the grouped products that experts otherwise run on take no float64.
    plain = {"attn_implementation": "eager", "experts_implementation": "eager"}
    model, loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **plain)
    faults = {kind: names for kind, names in loaded.items() if names}
    if faults:
        raise SystemExit(f"{folder}: {faults}")
    return model.eval()


def logits_of(model: torch.nn.Module, tokens: torch.Tensor, dtype: str) -> torch.Tensor:
    def call():
        return model(tokens) if isinstance(model, PaperModel) else model(tokens, use_cache=False).logits

    with torch.no_grad():
        if dtype == "float32":
            return call()
        widened(model)
        with Float64():
            return call()


def main() -> None:
    parser = argparse.ArgumentParser(description="Logits of an exported folder, by transformers.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = open_folder(given.folder)
    if given.tokens:
        tokens = load_file(given.tokens)["tokens"].long()
    else:
        vocabulary = model.get_parameter("model.embed_tokens.weight").shape[0]
        tokens = torch.randint(vocabulary, (2, 32), generator=torch.Generator().manual_seed(0))
    logits = logits_of(model, tokens, given.dtype)
    save_file({"tokens": tokens.int(), "logits": logits.contiguous()}, given.out)
    print(f"{type(model).__name__}: logits {list(logits.shape)}, deviation {float(logits.std()):.4f}")


if __name__ == "__main__":
    main()
