"""One golden model: random weights, its logits, loss and gradients in float64, proved before they are written.

A case becomes a folder: config.json and model.safetensors (float32) as save_pretrained writes them, and golden.safetensors:

    tokens, targets       int32 [B, T]
    logits                float64 [B, T, V]
    loss                  float64 []: mean cross-entropy of the logits and the targets, nothing else
    gradient.NAME         float64: of that loss, for every tensor NAME of model.safetensors
    balance               float64 []: transformers' load-balancing loss over all layers, with no coefficient; with experts
    balance.gradient.NAME float64: of `balance`; for cases that ask for it

Everything in golden.safetensors is computed in float64 from the float32 weights. transformers casts to float32 in many
places whatever the model's dtype (norms, softmax, router, rotary positions, the delta rule). `Float64` turns every such cast
into one to float64, without touching the library. What is written was held to

- central differences of the loss, two entries of each tensor;
- the same model in float32, casts as they are: near, but no nearer than float32 is;
- the recurrent form of the delta rule, where the model runs the chunked one.
"""

import copy
import importlib
import math
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

# Central differences of a loss of order 1: rounding is some 1e-15 / STEP; truncation is STEP^2 times a third derivative / 6,
# which reached 5e5 where a query's or key's length is near zero before its l2 norm. Each is at most 1e-7.
STEP = 1e-6
DIFFERENCE_ERROR = 1e-6

# Decays that remember and forget: exp(g) of every token and head.
DECAYS = (0.3, 0.999)

# The least distance between the last chosen and the first unchosen logit of a router; float32 errs by some 1e-6 there.
ROUTER_MARGIN = 2e-3

# What transformers itself may be off by in float32: logits absolutely, gradients relative to their tensor's largest entry.
# The engine's tests allow 1e-4 and 1e-3, so that another order of summation has room.
FLOAT32_LOGITS = 2e-5
FLOAT32_GRADIENT = 1e-4


class Float64(TorchFunctionMode):
    """Inside, float32 means float64 to every torch function, `.float()` is `.double()`, and new tensors are float64.

    Any function that gives a float32 tensor nevertheless is an error.
    """

    def __enter__(self):
        torch.set_default_dtype(torch.float64)
        return super().__enter__()

    def __exit__(self, *error):
        torch.set_default_dtype(torch.float32)
        return super().__exit__(*error)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.float:
            return args[0].double()
        wide = lambda value: torch.float64 if value is torch.float32 else value
        result = function(*(wide(value) for value in args), **{key: wide(v) for key, v in (kwargs or {}).items()})
        if isinstance(result, torch.Tensor) and result.dtype is torch.float32:
            raise TypeError(f"{function} gives float32")
        return result


@dataclass
class Case:
    name: str
    # Makes the model; its config says the rest.
    make: Callable[[], torch.nn.Module]
    time: int
    batch: int = 2
    with_balance_gradient: bool = False
    # The logits once more by other means, from the model in float64.
    oracle: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor] | None = None
    # The model that is saved in its place, of which it is a part; tensors of the rest have no gradient in the golden.
    whole: Callable[[torch.nn.Module], torch.nn.Module] = lambda model: model


@dataclass
class Report:
    worst_float32_logits: float = 0.0
    worst_float32_gradient: float = 0.0
    worst_sensitivity: float = 0.0


def zero_centred_norms(model) -> bool:
    return "PaperModel" not in type(model).__name__


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Weights that leave nothing trivial: logits and gates of order 1, norms that differ, decays within DECAYS."""

    def normal(shape, std):
        return torch.randn(shape, generator=generator) * std

    def uniform(shape, low, high):
        return torch.rand(shape, generator=generator) * (high - low) + low

    for name, parameter in model.named_parameters():
        last = name.removesuffix(".weight").rsplit(".", 1)[-1]
        shape = parameter.shape
        if last == "A_log":
            value = uniform(shape, 0.05, 0.9).log()
        elif last == "dt_bias":
            step = uniform(shape, math.log(0.05), math.log(0.7)).exp()
            value = step + torch.log(-torch.expm1(-step))  # the inverse of softplus
        elif name.endswith("linear_attn.norm.weight"):
            value = 1 + normal(shape, 0.3)
        elif "norm" in last:
            value = normal(shape, 0.3) + (0 if zero_centred_norms(model) else 1)
        elif last == "embed_tokens":
            value = normal(shape, 0.35)
        elif last == "conv1d":
            value = normal(shape, 0.8)
        elif last == "bias":
            value = normal(shape, 0.3)
        elif last in ("in_proj_ba", "in_proj_a"):
            value = normal(shape, 0.7 / math.sqrt(shape[-1]))
        else:
            value = normal(shape, (0.7 if last in ("o_proj", "out_proj", "down_proj") else 1.0) / math.sqrt(shape[-1]))
        with torch.no_grad():
            parameter.copy_(value)


class Watch:
    """What a forward pass in float64 shows: decays, router logits, and the delta rule's two forms beside each other."""

    def __init__(self, model):
        self.module = importlib.import_module(type(model).__module__)
        self.decays: list[torch.Tensor] = []
        self.margins: list[float] = []
        self.forms = 0.0
        self.handles = [
            module.register_forward_hook(self._router)
            for name, module in model.named_modules()
            if type(module).__name__.endswith("TopKRouter")
        ]

    def _router(self, module, _inputs, outputs):
        ordered = outputs[0].sort(-1, descending=True).values
        self.margins.append(float((ordered[:, module.top_k - 1] - ordered[:, module.top_k]).min()))

    def _delta(self, query, key, value, **options):
        chunked = self.chunk(query, key, value, **options)
        recurrent = self.recurrent(query, key, value, **options)
        self.forms = max(self.forms, float((chunked[0] - recurrent[0]).abs().max()))
        self.decays.append(options["g"].exp())
        return chunked

    def __enter__(self):
        self.chunk = getattr(self.module, "torch_chunk_gated_delta_rule", None)
        if self.chunk is not None:
            self.recurrent = self.module.torch_recurrent_gated_delta_rule
            self.module.torch_chunk_gated_delta_rule = self._delta
        return self

    def __exit__(self, *_):
        if self.chunk is not None:
            self.module.torch_chunk_gated_delta_rule = self.chunk
        for handle in self.handles:
            handle.remove()


def has_experts(model) -> bool:
    return any(type(module).__name__.endswith("TopKRouter") for module in model.modules())


def run(model, tokens) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Logits, and the load-balancing loss of a model with experts."""
    if type(model).__name__ == "PaperModel":
        return model(tokens), None
    if not has_experts(model):
        return model(tokens, use_cache=False).logits, None
    out = model(tokens, use_cache=False, output_router_logits=True)
    return out.logits, out.aux_loss


def loss_of(logits, targets):
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def widened(model: torch.nn.Module) -> torch.nn.Module:
    """The model in float64; its rotary frequencies, which are not in the file, are computed anew."""
    model.double()
    for module in model.modules():
        if hasattr(module, "inv_freq"):
            with Float64():
                module.inv_freq = module.compute_default_rope_parameters(module.config)[0]
            assert module.inv_freq.dtype == torch.float64
    return model


def gradients_of(model, value) -> dict[str, torch.Tensor]:
    names, parameters = zip(*model.named_parameters())
    got = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return {n: torch.zeros_like(p) if g is None else g for n, p, g in zip(names, parameters, got)}


def under_file_names(case, model, gradients: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Gradients under the names and in the shapes of model.safetensors.

    transformers holds experts fused in memory and writes them one by one. Saving a model whose weights are the gradients
    lets it do that itself: the same rows end up in the same places.
    """
    twin = widened(copy.deepcopy(model))
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.copy_(gradients[name])
    with tempfile.TemporaryDirectory() as folder:
        case.whole(twin).save_pretrained(folder)
        return text_part(load_file(Path(folder) / "model.safetensors"))


def text_part(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("model.visual.")}


def differences(model, tokens, targets, gradients, generator) -> float:
    """Largest disagreement of two entries of each gradient with central differences of the loss, relative to max(1, |it|)."""
    worst = 0.0
    for name, parameter in model.named_parameters():
        flat, gradient = parameter.data.view(-1), gradients[name].view(-1)
        # The largest entry, so that not only zeros are looked at, and any other.
        for index in {int(gradient.abs().argmax()), int(torch.randint(flat.numel(), (1,), generator=generator))}:
            kept = float(flat[index])

            def at(value: float) -> float:
                flat[index] = value
                with torch.no_grad():
                    return float(loss_of(run(model, tokens)[0], targets))

            numeric = (at(kept + STEP) - at(kept - STEP)) / (2 * STEP)
            flat[index] = kept
            error = abs(numeric - float(gradient[index]))
            assert error <= DIFFERENCE_ERROR * max(1, abs(numeric)), f"{name}[{index}]: {float(gradient[index])} against {numeric}"
            worst = max(worst, error)
    return worst


def relative(got: dict[str, torch.Tensor], want: dict[str, torch.Tensor]) -> float:
    """Largest error of a tensor relative to its own largest entry, over all tensors."""
    return max(float((got[n].double() - want[n]).abs().max() / want[n].abs().max()) for n in want)


def nudged(wide, generator) -> torch.nn.Module:
    """Every weight of a float64 model moved by one unit in its last place, up or down."""
    twin = copy.deepcopy(wide)
    with torch.no_grad():
        for parameter in twin.parameters():
            signs = torch.randint(2, parameter.shape, generator=generator).double() * 2 - 1
            parameter.mul_(1 + signs * 2.0**-52)
    return twin


def evaluated(model, tokens, targets):
    logits, balance = run(model, tokens)
    loss = loss_of(logits, targets)
    return logits, loss, balance, gradients_of(model, loss)


@dataclass
class Drawn:
    """A model with its inputs, in float32 and in float64, and what a first pass showed."""

    model: torch.nn.Module
    wide: torch.nn.Module
    tokens: torch.Tensor
    targets: torch.Tensor
    generator: torch.Generator
    decays: torch.Tensor | None
    margin: float | None
    float32_logits: float
    float32_gradient: float
    logits: torch.Tensor
    loss: torch.Tensor
    balance: torch.Tensor | None
    gradients: dict[str, torch.Tensor]

    def outside(self) -> list[str]:
        """Why this draw cannot serve: what it shows must be resolved by float32, and must not sit on an edge."""
        reasons = []
        if self.decays is not None and not DECAYS[0] <= self.decays.min() <= self.decays.max() <= DECAYS[1]:
            reasons.append(f"decays {self.decays.min()} to {self.decays.max()}")
        if self.margin is not None and self.margin < ROUTER_MARGIN:
            reasons.append(f"a router {self.margin} from a tie")
        if self.float32_logits > FLOAT32_LOGITS or self.float32_gradient > FLOAT32_GRADIENT:
            reasons.append(f"float32 is off by {self.float32_logits}, in gradients by {self.float32_gradient}")
        return reasons


def draw(case: Case, seed: int) -> Drawn:
    generator = torch.Generator().manual_seed(seed)
    model = case.make().eval()
    randomise(model, generator)
    vocabulary = model.model.embed_tokens.weight.shape[0]
    tokens = torch.randint(vocabulary, (case.batch, case.time), generator=generator)
    targets = torch.randint(vocabulary, (case.batch, case.time), generator=generator)
    wide = widened(copy.deepcopy(model))
    with Float64():
        with torch.no_grad(), Watch(wide) as seen:
            run(wide, tokens)
        assert seen.forms < 1e-13, f"{case.name}: chunked and recurrent differ by {seen.forms}"
        logits, loss, balance, gradients = evaluated(wide, tokens, targets)
        assert logits.dtype == loss.dtype == torch.float64
    logits32, _, _, gradients32 = evaluated(model, tokens, targets)
    return Drawn(
        model,
        wide,
        tokens,
        targets,
        generator,
        torch.cat([decay.reshape(-1) for decay in seen.decays]) if seen.decays else None,
        min(seen.margins) if seen.margins else None,
        (logits32.double() - logits).detach().abs().max().item(),
        relative(gradients32, gradients),
        logits,
        loss,
        balance,
        gradients,
    )


def prove(case: Case, drawn: Drawn) -> tuple[float, float]:
    """Worst disagreement with central differences, and how far one unit in the last place moves anything."""
    wide, tokens, targets, generator = drawn.wide, drawn.tokens, drawn.targets, drawn.generator
    with Float64():
        if case.oracle is not None:
            other = case.oracle(wide, tokens)
            assert (other - drawn.logits).detach().abs().max() < 1e-13, f"{case.name}: its oracle"
        moved_logits, _, _, moved = evaluated(nudged(wide, generator), tokens, targets)
        worst = differences(wide, tokens, targets, drawn.gradients, generator)
    moves = (moved_logits - drawn.logits).detach().abs().max().item()
    sensitivity = max(moves, relative(moved, drawn.gradients))
    assert 0 < sensitivity < 1e-11, f"{case.name}: one unit in the last place moves it by {sensitivity}"
    # Were the float64 pass rounded to float32 somewhere, the two would be nearer to each other, or the same.
    assert drawn.float32_logits > 1e-8, f"{case.name}: float32 is off by {drawn.float32_logits} only"
    assert 0.3 < drawn.logits.std() < 3, f"{case.name}: logits of deviation {drawn.logits.std()}"
    for name, gradient in drawn.gradients.items():
        assert gradient.abs().max() > 1e-5, f"{case.name}: the gradient of {name} is all but zero"
    return worst, sensitivity


def store(case: Case, drawn: Drawn, folder: Path) -> int:
    """Writes the folder; its size in bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    case.whole(drawn.model).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    golden: dict[str, torch.Tensor] = {
        "tokens": drawn.tokens.int(),
        "targets": drawn.targets.int(),
        "logits": drawn.logits.detach(),
        "loss": drawn.loss.detach(),
    }
    named = under_file_names(case, drawn.model, drawn.gradients)
    golden |= {f"gradient.{name}": tensor for name, tensor in named.items()}
    if drawn.balance is not None:
        golden["balance"] = drawn.balance.detach()
    if case.with_balance_gradient:
        named = under_file_names(case, drawn.model, gradients_of(drawn.wide, drawn.balance))
        golden |= {f"balance.gradient.{name}": tensor for name, tensor in named.items()}
    stored = load_file(folder / "model.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in stored.values())
    assert {name for name in golden if name.startswith("gradient.")} == {f"gradient.{name}" for name in text_part(stored)}
    assert all(tensor.dtype in (torch.int32, torch.float64) for tensor in golden.values())
    save_file({name: tensor.contiguous() for name, tensor in golden.items()}, folder / "golden.safetensors")
    return sum(file.stat().st_size for file in folder.iterdir())


def write(case: Case, folder: Path, report: Report) -> None:
    """Draws, proves and writes one case. The draw is repeated, from the next seed, while it cannot serve."""
    seed = zlib.crc32(case.name.encode())
    for attempt in range(50):
        drawn = draw(case, seed + attempt)
        outside = drawn.outside()
        if not outside:
            break
    else:
        raise AssertionError(f"{case.name}: no draw within bounds; the last: {'; '.join(outside)}")
    worst, sensitivity = prove(case, drawn)
    size = store(case, drawn, folder)
    report.worst_float32_logits = max(report.worst_float32_logits, drawn.float32_logits)
    report.worst_float32_gradient = max(report.worst_float32_gradient, drawn.float32_gradient)
    report.worst_sensitivity = max(report.worst_sensitivity, sensitivity)
    decays = "" if drawn.decays is None else f", decays {drawn.decays.min():.2f} to {drawn.decays.max():.3f}"
    margin = "" if drawn.margin is None else f", routers {drawn.margin:.1e} from a tie"
    print(
        f"{case.name}: {size} bytes, draw {attempt}, loss {drawn.loss:.4f}, logits deviate {drawn.logits.std():.2f}"
        f"{decays}{margin}; differences {worst:.1e}, sensitivity {sensitivity:.1e}, "
        f"float32 {drawn.float32_logits:.1e} and {drawn.float32_gradient:.1e}",
        flush=True,
    )
