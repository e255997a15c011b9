"""Goldens of the elementwise operations: unary, binary with broadcasting, comparisons, where, clamp."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from golden import Constant, case, distinct, floats, normal, uniform


def rsqrt(x):
    return 1 / jnp.sqrt(x)


def gelu(x):
    """The tanh form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    return jax.nn.gelu(x, approximate=True)


def absolute(x):
    """|x| with gradient 0 at 0 (jnp.abs takes 1 there)."""
    return x * jax.lax.stop_gradient(jnp.sign(x))


def gelu_exact_twin(x: float) -> float:
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def sigmoid_twin(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softplus_twin(x: float) -> float:
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


ANY, POSITIVE = (-3.0, 3.0), (0.05, 4.0)

# name: (reference, the same function of one number from Python's math library, domain, far or delicate points)
UNARY = {
    "neg": (jnp.negative, lambda x: -x, ANY, [-1e6, -1e-6, 1e-6, 1e6]),
    "exp": (jnp.exp, math.exp, ANY, [-700.0, -30.0, -1e-6, 0.0, 1e-6, 20.0]),
    "log": (jnp.log, math.log, POSITIVE, [0.02, 0.999, 1.0, 1.001, 1e6]),
    "sqrt": (jnp.sqrt, math.sqrt, POSITIVE, [0.02, 1.0, 4.0, 1e6]),
    "rsqrt": (rsqrt, lambda x: 1 / math.sqrt(x), POSITIVE, [0.02, 1.0, 4.0, 1e6]),
    "sin": (jnp.sin, math.sin, ANY, [-100.0, -1e-6, 0.0, math.pi / 2, 100.0]),
    "cos": (jnp.cos, math.cos, ANY, [-100.0, -1e-6, 0.0, math.pi / 2, 100.0]),
    "tanh": (jnp.tanh, math.tanh, ANY, [-400.0, -20.0, -1e-6, 0.0, 1e-6, 20.0, 400.0]),
    "sigmoid": (jax.nn.sigmoid, sigmoid_twin, ANY, [-800.0, -30.0, -1e-6, 0.0, 30.0, 800.0]),
    "silu": (jax.nn.silu, lambda x: x * sigmoid_twin(x), ANY, [-800.0, -30.0, -1e-6, 0.0, 30.0, 800.0]),
    "gelu": (gelu, gelu_exact_twin, ANY, [-400.0, -30.0, -5.0, -1e-6, 0.0, 1e-6, 5.0, 30.0, 400.0]),
    "softplus": (jax.nn.softplus, softplus_twin, ANY, [-800.0, -40.0, -1e-6, 0.0, 1e-6, 40.0, 800.0]),
    "square": (jnp.square, lambda x: x * x, ANY, [-1e4, -1e-6, 0.0, 1e-6, 1e4]),
    "reciprocal": (jnp.reciprocal, lambda x: 1 / x, POSITIVE, [-50.0, -0.04, 0.04, 50.0]),
    "erf": (jax.scipy.special.erf, math.erf, ANY, [-6.0, -3.5, -1.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 1.0, 2.0, 3.5, 6.0]),
}


def unary_cases():
    for op, (reference, twin, (low, high), far) in UNARY.items():
        exact = np.vectorize(twin, otypes=[np.float64])
        # Near 0.02 the length scale of log, sqrt and reciprocal is 0.02 itself, hence the shorter step.
        yield case(op, "rank 3", reference, uniform(low, high, 2, 1, 5), exact=exact, step=2e-6)
        yield case(op, "rank 0", reference, uniform(low, high), exact=exact, step=2e-6)
        yield case(op, "far and delicate points", reference, floats(far), exact=exact, step=2e-6)

    yield case("abs", "rank 3", absolute, normal(2, 1, 5), exact=np.abs)
    yield case("abs", "rank 0", absolute, floats(-2.5), exact=np.abs)
    signs = floats(-1e6, -1e-3, 0.0, 1e-3, 1e6)
    yield case("abs", "zero has gradient 0", absolute, signs, kink=True, stated=lambda c: [np.sign(signs) * c])
    yield case("relu", "rank 3", jax.nn.relu, normal(2, 1, 5), exact=lambda x: np.maximum(x, 0))
    yield case("relu", "rank 0", jax.nn.relu, floats(0.75))
    yield case("relu", "zero has gradient 0", jax.nn.relu, signs, kink=True, stated=lambda c: [(signs > 0) * c])

    steps = floats([[-2.5, -2.0, -0.5, -1e-9], [0.0, 0.5, 1.0, 1e6 + 0.5]])
    yield case("floor", "both signs and integers", jnp.floor, steps, differentiable=False, exact=np.floor)
    yield case("floor", "rank 0", jnp.floor, floats(-0.25), differentiable=False, exact=np.floor)
    yield case("sign", "both signs and zero", jnp.sign, steps, differentiable=False, exact=np.sign)
    yield case("sign", "rank 0", jnp.sign, floats(-0.25), differentiable=False, exact=np.sign)


def binary_cases():
    arithmetic = {"add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide}
    for op, reference in arithmetic.items():
        exact = getattr(np, reference.__name__)
        # Divisors stay away from zero: the second operand is positive.
        yield case(op, "equal shapes", reference, normal(3, 5), uniform(0.3, 2, 3, 5), exact=exact)
        yield case(op, "broadcast both ways", reference, normal(2, 1, 3), uniform(0.3, 2, 4, 1), exact=exact)
        yield case(op, "vector against matrix", reference, normal(3), uniform(-2, -0.3, 2, 3), exact=exact)
        yield case(op, "rank 0 against matrix", reference, normal(), uniform(0.3, 2, 2, 3), exact=exact)
        yield case(op, "matrix against rank 0", reference, normal(2, 3), uniform(0.3, 2), exact=exact)
        yield case(op, "number on the right", reference, normal(2, 3), 2.5)
        yield case(op, "number on the left", reference, -1.5, uniform(0.3, 2, 2, 3))
    yield case("mul", "a tensor of ones axes", jnp.multiply, normal(1, 1, 1), normal(2, 1))
    large, small = floats(1e6, 1e-6, -3.0, 1.0), floats(-2.0, 0.5, 0.05, 1e6)
    yield case("div", "large and small", jnp.divide, large, small, step=1e-6)

    for op, reference in {"maximum": jnp.maximum, "minimum": jnp.minimum}.items():
        exact = getattr(np, op)
        yield case(op, "equal shapes", reference, normal(3, 5), normal(3, 5), exact=exact)
        yield case(op, "broadcast both ways", reference, normal(2, 1, 3), normal(4, 1), exact=exact)
        yield case(op, "number on the right", reference, normal(2, 5), 0.1)
        yield case(op, "number on the left", reference, -0.2, normal(2, 5))
        a, b = floats([[1.0, 2.0, -1.0], [0.0, 5.0, 3.0]]), floats([[1.0, 1.0, 4.0], [0.0, 5.0, 3.5]])
        wins = (a > b) if op == "maximum" else (a < b)
        share = np.where(a == b, 0.5, wins)
        stated = lambda c, share=share: [share * c, (1 - share) * c]
        yield case(op, "ties split evenly", reference, a, b, kink=True, stated=stated)
        row, column = floats([[2.0, 1.0]]), floats([[2.0], [1.0]])
        tie = np.where(row == column, 0.5, (row > column) if op == "maximum" else (row < column))
        stated = lambda c, tie=tie: [(tie * c).sum(0, keepdims=True), ((1 - tie) * c).sum(1, keepdims=True)]
        yield case(op, "ties under broadcasting", reference, row, column, kink=True, stated=stated)


def pow_cases():
    power = jnp.power
    yield case("pow", "positive base, tensor exponent", power, uniform(0.3, 3, 3, 4), normal(3, 4), exact=np.power)
    yield case("pow", "broadcast both ways", power, uniform(0.3, 3, 2, 1, 3), normal(4, 1), exact=np.power)
    yield case("pow", "number as base", power, 2.0, normal(2, 3))
    yield case("pow", "number as fractional exponent", power, uniform(0.3, 3, 2, 3), 0.5)
    base = floats([-3.0, -1.5, -0.5, 0.5, 2.0])
    for exponent in (3.0, 2.0, -1.0, -2.0):
        yield case("pow", f"negative base, exponent {exponent:.0f}", power, base, exponent)
    # A negative base has no real derivative by its exponent, so the exponent is a constant here.
    exponents = Constant(floats([3.0, 2.0, -1.0, 4.0, 0.0]))
    yield case("pow", "negative base, integer tensor exponents", power, base, exponents)
    zeros = floats(-2.0, 0.0, 2.0)
    yield case("pow", "zero base, exponent 2", power, zeros, 2.0)
    yield case("pow", "zero base, tensor exponents", power, zeros[1:], floats(2.0, 1.5))
    yield case("pow", "zero base, exponent 1", power, zeros, 1.0)
    # jnp.power with a float exponent would differentiate this as 0 x^-1.
    yield case("pow", "zero base, exponent 0 is 1 with gradient 0", lambda x, _: x**0, zeros, 0.0)
    yield case("pow", "large and small", power, floats(1e3, 1e2, 0.05), floats(2.5, -1.5, 2.0), step=1e-6)


def comparison_cases():
    names = {
        "equal": np.equal,
        "notEqual": np.not_equal,
        "less": np.less,
        "lessEqual": np.less_equal,
        "greater": np.greater,
        "greaterEqual": np.greater_equal,
    }
    a, b = floats([[1.0, 2.0, -1.0], [0.0, -0.0, 3.0]]), floats([[1.0, 1.0, 4.0], [-0.0, 1e-300, 3.0]])
    for op, relation in names.items():

        def reference(x, y, relation=relation):
            return getattr(jnp, relation.__name__)(x, y).astype(jnp.float64)

        def exact(x, y, relation=relation):
            return relation(x, y).astype(np.float64)

        yield case(op, "with ties", reference, a, b, differentiable=False, exact=exact)
        row, column = a[:, None, :], b[0][:, None]
        yield case(op, "broadcast both ways", reference, row, column, differentiable=False, exact=exact)
        yield case(op, "number on the right", reference, a, 1.0, differentiable=False)
        yield case(op, "number on the left", reference, 1.0, b, differentiable=False)


def where(condition, a, b):
    return jnp.where(condition != 0, a, b)


def clamp(x, low, high):
    """jnp.clip splits the gradient at a bound; here a bound belongs to the inside."""
    inside = (x >= low) & (x <= high)
    return jnp.where(inside, x, jax.lax.stop_gradient(jnp.clip(x, low, high)))


def choice_cases():
    chosen = Constant(floats([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]))
    yield case("where", "equal shapes", where, chosen, normal(2, 3), normal(2, 3))
    yield case("where", "condition broadcast", where, Constant(floats([1.0, 0.0, 1.0])), normal(2, 3), normal(2, 1))
    yield case("where", "branches broadcast", where, chosen, normal(1), normal(4, 1, 3))
    yield case("where", "rank 0 branch", where, chosen, normal(), normal(2, 3))
    yield case("where", "number as branch", where, chosen, normal(2, 3), -7.5)

    yield case("clamp", "inside and outside", clamp, distinct(3, 5), -0.6, 1.1)
    yield case("clamp", "no lower bound", clamp, distinct(2, 4), -math.inf, 0.1)
    yield case("clamp", "no upper bound", clamp, distinct(2, 4), -0.1, math.inf)
    yield case("clamp", "rank 0", clamp, floats(2.5), -1, 1)
    x = floats(-2.0, -1.0, 0.0, 1.0, 2.0)
    yield case("clamp", "bounds pass the gradient", clamp, x, -1, 1, kink=True, stated=lambda c: [(np.abs(x) <= 1) * c])


def cases():
    yield from unary_cases()
    yield from binary_cases()
    yield from pow_cases()
    yield from comparison_cases()
    yield from choice_cases()
