"""One golden case: arguments, the values of an operation, and its gradients, proved before they are written.

A reference function is written from the mathematics with jax.numpy in float64. Its gradients come from jax.vjp
for random cotangents, and every one of them is held here against central differences of the reference itself.

A case's arguments are written as the call would be: arrays and draws are tensors, a list of them is a list of
tensors, a dict is the options object (handed to the reference as keyword arguments, so these keep the public
camelCase names), everything else is a plain value.
"""

import json
import zlib
from dataclasses import dataclass
from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

Reference = Callable[..., Any]

# Central differences: truncation is h^2 f'''/6, rounding 1.1e-16 |f| / h; h = 1e-5 leaves both near 1e-11 for
# functions of order one, far under the bound below. A case with a shorter length scale gives its own step.
STEP = 1e-5
RELATIVE_ERROR = 1e-6


@dataclass
class Draw:
    """A random tensor, drawn when its case is built so that every case has its own stream."""

    sample: Callable[[np.random.Generator], np.ndarray]


@dataclass
class Constant:
    """A float tensor that takes no gradient in this case (the operation has none there)."""

    array: Any


def normal(*shape: int, scale: float = 1.0) -> Draw:
    # Three decimals keep the file short; they are exact float64 values like any other.
    return Draw(lambda rng: np.round(rng.standard_normal(shape) * scale, 3))


def uniform(low: float, high: float, *shape: int) -> Draw:
    return Draw(lambda rng: np.round(rng.uniform(low, high, shape), 3))


def directions(*shape: int) -> Draw:
    """Vectors of length one along the last axis, to three decimals: the keys of a delta rule."""

    def sample(rng: np.random.Generator) -> np.ndarray:
        vectors = rng.standard_normal(shape)
        return np.round(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), 3)

    return Draw(sample)


def distinct(*shape: int) -> Draw:
    """Values in random order, no two of them nearer than 0.25: sorting and maxima have one answer."""
    size = int(np.prod(shape))
    return Draw(lambda rng: (rng.permutation(size) - size // 2).reshape(shape) * 0.25)


def indices(count: int, *shape: int) -> Draw:
    return Draw(lambda rng: rng.integers(0, count, shape).astype(np.int32))


def floats(*values: Any) -> np.ndarray:
    """A float64 tensor from nested lists, or a vector from several numbers."""
    return np.array(values[0] if len(values) == 1 else values, dtype=np.float64)


def integers(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def is_tensor(argument: Any) -> bool:
    return isinstance(argument, (Draw, Constant, np.ndarray))


class Arguments:
    """The arguments of one call: what is written, which tensors are differentiated, and how to call again."""

    def __init__(self, arguments: tuple[Any, ...], rng: np.random.Generator, differentiable: bool):
        self.tensors: list[np.ndarray] = []
        self.differentiated: list[bool] = []
        self.rng = rng
        self.differentiable = differentiable
        self.written = [self._write(argument) for argument in arguments]
        self.arguments = arguments

    def _tensor(self, argument: Any) -> dict[str, Any]:
        constant = isinstance(argument, Constant)
        inner = argument.array if constant else argument
        array = inner.sample(self.rng) if isinstance(inner, Draw) else inner
        assert array.dtype in (np.float64, np.int32), array.dtype
        self.tensors.append(array)
        self.differentiated.append(self.differentiable and not constant and array.dtype == np.float64)
        return {"tensor": tensor_json(array)}

    def _write(self, argument: Any) -> dict[str, Any]:
        if is_tensor(argument):
            return self._tensor(argument)
        if isinstance(argument, list) and argument and all(is_tensor(item) for item in argument):
            return {"tensors": [self._tensor(item)["tensor"] for item in argument]}
        if isinstance(argument, dict):
            return {
                "options": {
                    key: self._tensor(value) if is_tensor(value) else value for key, value in argument.items()
                }
            }
        return {"value": argument}

    def inputs(self) -> list[np.ndarray]:
        return [tensor for tensor, wanted in zip(self.tensors, self.differentiated) if wanted]

    def call(self, reference: Reference, inputs: list[Any]) -> dict[str, Any]:
        """The reference's outputs with the differentiated tensors replaced by `inputs`."""
        given = iter(inputs)
        leaves = iter([next(given) if wanted else t for t, wanted in zip(self.tensors, self.differentiated)])
        positional: list[Any] = []
        options: dict[str, Any] = {}
        for argument in self.arguments:
            if is_tensor(argument):
                positional.append(next(leaves))
            elif isinstance(argument, list) and argument and all(is_tensor(item) for item in argument):
                positional.append([next(leaves) for _ in argument])
            elif isinstance(argument, dict):
                options = {key: next(leaves) if is_tensor(value) else value for key, value in argument.items()}
            else:
                positional.append(argument)
        result = reference(*positional, **options)
        return result if isinstance(result, dict) else {"out": result}


def tensor_json(array: np.ndarray) -> dict[str, Any]:
    dtype = "int32" if array.dtype == np.int32 else "float64"
    return {"shape": list(array.shape), "dtype": dtype, "data": array.reshape(-1).tolist()}


def central_differences(name: str, outputs: Callable, inputs, gradients, cotangents, step: float, kink: bool):
    """Holds each gradient to (f(x + h) - f(x - h)) / 2h, contracted with the cotangents.

    At a kink (a tie, a bound, zero) the two one-sided differences disagree and no central difference is
    meaningful: there the gradient has to lie between them, and the case states its convention itself.
    """

    def pair(upper, lower):
        return sum(float(np.sum((upper[key] - lower[key]) * cotangent)) for key, cotangent in cotangents.items())

    here = {key: np.asarray(value) for key, value in outputs(inputs).items()}
    worst = 0.0
    for position, array in enumerate(inputs):
        for index in np.ndindex(array.shape):

            def moved(by: float):
                changed = [np.array(item) for item in inputs]
                changed[position][index] += by
                return {key: np.asarray(value) for key, value in outputs(changed).items()}

            upper, lower = moved(step), moved(-step)
            # Near 1e6 neither x + h nor x - h is exact: divide by the distance they really have.
            distance = float((array[index] + step) - (array[index] - step))
            analytic = float(gradients[position][index])
            error = abs(pair(upper, lower) / distance - analytic) / max(1.0, abs(analytic))
            if error > RELATIVE_ERROR and kink:
                sides = sorted((2 * pair(upper, here) / distance, 2 * pair(here, lower) / distance))
                slack = 10 * step * max(1.0, abs(analytic))
                assert sides[1] - sides[0] > 100 * slack, f"{name}: no kink at {position}{index}, {sides}, {analytic}"
                assert sides[0] - slack <= analytic <= sides[1] + slack, f"{name}: {analytic} outside {sides}"
                continue
            assert error <= RELATIVE_ERROR, f"{name}: input {position}{index}: {analytic}, relative error {error}"
            worst = max(worst, error)
    return worst


def sensitivity(outputs: Callable, gradient: Callable, inputs, rng: np.random.Generator) -> float:
    """How far values and gradients move, relative to max(1, |value|), when every input moves by one unit roundoff.

    This is what float64 can be held to: the reader's tolerance is derived from the largest of these.
    """
    nudged = [array * (1 + rng.choice([-1.0, 1.0], array.shape) * 2.0**-53 * 2) for array in inputs]
    before = [*outputs(inputs).values(), *gradient(inputs)]
    after = [*outputs(nudged).values(), *gradient(nudged)]
    moves = [
        np.max(np.abs(np.asarray(x) - np.asarray(y)) / np.maximum(1, np.abs(np.asarray(x))), initial=0.0)
        for x, y in zip(before, after)
    ]
    return float(max(moves))


@dataclass
class Statistics:
    cases: int = 0
    differences: int = 0
    worst_difference: float = 0.0
    worst_sensitivity: float = 0.0


STATISTICS = Statistics()


def case(
    op: str,
    name: str,
    reference: Reference,
    *arguments: Any,
    differentiable: bool = True,
    step: float = STEP,
    kink: bool = False,
    stated: Callable[..., list[Any]] | None = None,
    exact: Callable[..., Any] | None = None,
) -> dict[str, Any]:
    """Builds and proves one case.

    kink: the arguments sit on a tie, a bound or a zero, where the gradient is a convention;
    stated: that convention, written by hand: the gradients as a function of the cotangent of `out`;
    exact: the values once more from another library, held to 1e-14 of max(1, |value|).
    """
    label = f"{op}: {name}"
    rng = np.random.default_rng(zlib.crc32(label.encode()))
    call = Arguments(arguments, rng, differentiable)
    inputs = call.inputs()
    outputs = {key: np.asarray(value) for key, value in call.call(reference, [jnp.asarray(x) for x in inputs]).items()}
    for key, value in outputs.items():
        assert value.dtype in (np.float64, np.int32), f"{label}: {key} is {value.dtype}"
        assert np.all(np.isfinite(value)), f"{label}: {key} is not finite"
    if exact is not None:
        twin = np.asarray(exact(*call.tensors))
        assert np.all(np.abs(twin - outputs["out"]) <= 1e-14 * np.maximum(1, np.abs(twin))), f"{label}: values"

    cotangents: dict[str, np.ndarray] = {}
    gradients: list[np.ndarray] = []
    if inputs:
        floating = [key for key, value in outputs.items() if value.dtype == np.float64]
        cotangents = {key: np.round(rng.standard_normal(outputs[key].shape), 3) for key in floating}

        @jax.jit
        def differentiable_outputs(values):
            result = call.call(reference, values)
            return {key: result[key] for key in floating}

        @jax.jit
        def gradient(values):
            return jax.vjp(differentiable_outputs, values)[1](cotangents)[0]

        gradients = [np.asarray(value) for value in gradient(inputs)]
        assert all(np.all(np.isfinite(value)) for value in gradients), f"{label}: a gradient is not finite"
        worst = central_differences(label, differentiable_outputs, inputs, gradients, cotangents, step, kink)
        STATISTICS.differences += sum(array.size for array in inputs)
        STATISTICS.worst_difference = max(STATISTICS.worst_difference, worst)
        assert kink == (stated is not None), f"{label}: a kink needs a stated gradient"
        if stated is not None:
            for got, want in zip(gradients, stated(cotangents["out"]), strict=True):
                assert np.allclose(got, want, rtol=1e-14, atol=0), f"{label}: {got} against the stated {want}"
        else:
            moved = sensitivity(differentiable_outputs, gradient, inputs, rng)
            STATISTICS.worst_sensitivity = max(STATISTICS.worst_sensitivity, moved)

    STATISTICS.cases += 1
    remaining = iter(gradients)
    return {
        "op": op,
        "case": name,
        "arguments": call.written,
        "outputs": {key: tensor_json(value) for key, value in outputs.items()},
        "cotangents": {key: shaped_json(value) for key, value in cotangents.items()},
        "gradients": [shaped_json(next(remaining)) if wanted else None for wanted in call.differentiated],
    }


def shaped_json(array: np.ndarray) -> dict[str, Any]:
    return {"shape": list(array.shape), "data": array.reshape(-1).tolist()}


def to_json(cases: list[dict[str, Any]]) -> str:
    """One case a line. Python writes each float64 with the fewest digits (17 at most) that read back the same.

    JSON has no infinities, but a number too large for a float64 reads as one in every common reader.
    """
    lines = [json.dumps(item, separators=(",", ":")).replace("Infinity", "1e999") for item in cases]
    assert all("NaN" not in line for line in lines)
    return "[\n" + ",\n".join(lines) + "\n]\n"
