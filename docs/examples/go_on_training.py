"""Goes on training a model that `sluice export` wrote, with transformers: in one process, or in many with accelerate.

    pip install torch transformers accelerate safetensors
    python go_on_training.py FOLDER OUT --text book.txt --steps 100
    torchrun --standalone --nproc-per-node 8 go_on_training.py FOLDER OUT --text book.txt --steps 100
    accelerate launch --num_processes 8 go_on_training.py FOLDER OUT --text book.txt --steps 100

FOLDER holds config.json, model.safetensors and tokenizer.json; OUT gets the same, which Sluice opens again. A run that learned a
generated task has no tokenizer: give `--tokens FILE`, a safetensors file with `tokens`, int32 [N]. The last tenth is held out.
Each process draws its own sequences; gradients are averaged over all of them.

AdamW as Sluice has it: weight decay on matrices alone, not on vectors (norms, biases, dt_bias, A_log) or the convolution.
"""

import argparse
import shutil
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def read_tokens(given: argparse.Namespace) -> torch.Tensor:
    if given.tokens:
        return load_file(given.tokens)["tokens"].long()
    tokenizer = AutoTokenizer.from_pretrained(given.folder)
    # Nothing is cut: model_max_length only asks for a warning.
    return torch.tensor(tokenizer(given.text.read_text(encoding="utf-8"), verbose=False).input_ids)


def sequences(tokens: torch.Tensor, count: int, length: int, generator: torch.Generator) -> torch.Tensor:
    """[count, length] of tokens that follow each other, from random places."""
    begins = torch.randint(len(tokens) - length + 1, (count, 1), generator=generator)
    return tokens[begins + torch.arange(length)]


def decay_groups(model: torch.nn.Module, weight_decay: float) -> list[dict]:
    decaying, others = [], []
    for name, parameter in model.named_parameters():
        (decaying if parameter.ndim >= 2 and "conv1d" not in name else others).append(parameter)
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def main() -> None:
    parser = argparse.ArgumentParser(description="Goes on training an exported model.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", type=Path)
    source.add_argument("--tokens", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=16, help="sequences a step and process")
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()

    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    model, loaded = AutoModelForCausalLM.from_pretrained(given.folder, dtype=torch.float32, output_loading_info=True)
    faults = {kind: names for kind, names in loaded.items() if names}
    if faults:
        raise SystemExit(f"{given.folder}: {faults}")
    tokens = read_tokens(given)
    if int(tokens.max()) >= model.config.vocab_size:
        raise SystemExit(f"token {int(tokens.max())} is outside the vocabulary of {model.config.vocab_size}")
    held_out = tokens[len(tokens) * 9 // 10 :]
    tokens = tokens[: len(tokens) * 9 // 10]
    groups = decay_groups(model, given.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=given.learning_rate, betas=(0.9, 0.95))
    model, optimizer = accelerator.prepare(model, optimizer)
    # With experts: the load-balancing loss, times router_aux_loss_coef of config.json, is part of the loss.
    balanced = {"output_router_logits": True} if getattr(accelerator.unwrap_model(model).config, "num_experts", 0) else {}
    generator = torch.Generator().manual_seed(given.seed * 1000 + accelerator.process_index)
    # The same for all, so that every process reports the same loss.
    checks = sequences(held_out, given.batch, given.context + 1, torch.Generator().manual_seed(given.seed))

    def held_out_loss() -> float:
        model.eval()
        with torch.no_grad():
            batch = checks.to(accelerator.device)
            loss = float(model(input_ids=batch, labels=batch, use_cache=False).loss)
        model.train()
        return loss

    accelerator.print(f"{accelerator.num_processes} processes, {accelerator.device}, held-out loss {held_out_loss():.4f}")
    for step in range(1, given.steps + 1):
        batch = sequences(tokens, given.batch, given.context + 1, generator).to(accelerator.device)
        # transformers shifts the labels itself.
        loss = model(input_ids=batch, labels=batch, use_cache=False, **balanced).loss
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0 or step == given.steps:
            mean = accelerator.gather(loss.detach().reshape(1)).mean()
            accelerator.print(f"step {step}, loss {float(mean):.4f}")
    accelerator.print(f"held-out loss {held_out_loss():.4f}")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        accelerator.unwrap_model(model).save_pretrained(given.out)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if (given.folder / name).exists():
                shutil.copy(given.folder / name, given.out / name)
    accelerator.end_training()


if __name__ == "__main__":
    main()
