"""Writes print.json: what NumPy prints for a few hundred arrays of every kind.

Run as `python3 print.py` with NumPy 2.3 or later (before, float32 arrays changed to exponents at 1e8 instead of 1e6).

A case is [dtype, shape, data, options, text]. Data is a list of numbers, with "nan", "inf", "-inf" and "-0" as text;
or, for long arrays, {"count", "start", "step"} for the values start + step * i, exact in the dtype.
"""

import json
import math
from pathlib import Path

import numpy as np

chooser = np.random.default_rng(31)
FLOATS = ("float32", "float64")
OPTION_NAMES = {"precision": "precision", "threshold": "threshold", "edgeItems": "edgeitems", "lineWidth": "linewidth"}

cases = []


def plain(value):
    if isinstance(value, int):
        return value
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0 and math.copysign(1, value) < 0:
        return "-0"
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def add(array, data=None, **options):
    with np.printoptions(**{OPTION_NAMES[name]: value for name, value in options.items()}):
        text = str(array)
    data = [plain(value) for value in array.ravel().tolist()] if data is None else data
    cases.append([str(array.dtype), list(array.shape), data, options, text])


def add_floats(values, shape=None, **options):
    for dtype in FLOATS:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=dtype)
        add(array if shape is None else array.reshape(shape), **options)


def add_ramp(dtype, shape, start, step, **options):
    count = int(np.prod(shape))
    array = (start + step * np.arange(count)).astype(dtype).reshape(shape)
    assert (array.ravel().astype(np.float64) == start + step * np.arange(count, dtype=np.float64)).all()
    add(array, {"count": count, "start": start, "step": step}, **options)


def scalars():
    tiny, huge, single = 5e-324, 1.7976931348623157e308, 3.4028234663852886e38
    values = [0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, math.pi, 1e-4, 9.9e-5, 0.00012345, 999999.9, 1e6, 123456.7, 16777216.0]
    values += [1e15, 9.999999999999999e15, 1e16, 1e22, 1e23, 2.0**-44, 2.0**-24, 2.0**60, 9007199254740994.0, 1e-45]
    values += [tiny, huge, single, 2.0**-1022, 2.0**-126, 1.17549421e-38, math.nan, math.inf, -math.inf, 8.5, 5e-8]
    for value in values:
        add_floats(value)
        add_floats([value])
    for value in (0, -5, 2**31 - 1, -(2**31)):
        add(np.array(value, np.int32))
        add(np.array([value], np.int32))
    add_floats(math.pi, precision=3)


def notation():
    for low, high in ((1e-4, 0.05), (1e-4, 0.1), (9.99e-5, 0.01), (1.0, 1000.0), (1.0, 1000.1), (0.5, 1.0)):
        add_floats([low, high])
        add_floats([low, -high, 0.0])
    for top in (99999.9, 999999.9, 1e6, 99999999.0, 99999999.9, 1e8, 123456789.0, 1e12):
        add_floats([top])
        add_floats([top, top / 3, -top / 700])
    add_floats([1e-300, 1e300, 1e-5])
    add_floats([1e10, 1e-30, 1.5])
    add_floats([1.1e-10, 1.2345678e10])
    add_floats([3.0e-310, 1.0])
    add_floats([0.0, -0.0])
    add_floats([-0.0001, 0.05])
    add_floats([9.9999999999, 0.1])
    add_floats([0.999999999, 0.1])
    # A ratio just above 1000 that float32 rounds to 1000.
    for low in np.float32([0.3, 0.7, 1.1, 1.3, 1.7]):
        top = low * np.float32(1000)
        while np.float64(top) / np.float64(low) <= 1000:
            top = np.nextafter(top, np.float32(np.inf))
        add(np.array([low, top], np.float32))
        add(np.array([low, np.float32(1.001) * top], np.float32))
    # Neighbours of 1e-4 in float32, where the comparison is made in float32.
    for step in (-1, 0, 1):
        add(np.array([np.float32(1e-4).view(np.int32) + step], np.int32).view(np.float32))


def special_values():
    nan, inf = math.nan, math.inf
    for values in (
        [nan], [inf], [-inf], [nan, inf], [nan, -inf], [inf, 1.0], [-inf, 1.0], [nan, 1.5, 100.25], [-inf, 123.0, 0.5],
        [nan, 1e-9], [-inf, 1e12, nan], [inf, 0.0], [nan, -0.0, 1.0], [nan, nan, -1.0], [inf, 12345.678, -1e-3],
    ):
        add_floats(values)
    add_floats([nan, 1.0, 2.0, inf, -inf, 0.25], (2, 3))


def random_arrays():
    shapes = ((3,), (7,), (30,), (2, 3), (4, 1), (1, 9), (2, 2, 2), (1, 2, 1, 3), (2, 1, 1, 1, 2))
    for shape in shapes:
        for scale in (1.0, 1e-3, 1e5, 1e7):
            add_floats(chooser.standard_normal(shape) * scale)
        add_floats(np.exp(chooser.uniform(-30, 30, shape)))
        add_floats(np.round(chooser.uniform(-100, 100, shape), 1))
        add_floats(np.round(chooser.uniform(-9, 9, shape)))
        for bound in (10, 1000, 2**31 - 1):
            add(chooser.integers(-bound, bound, shape).astype(np.int32))
    # Any bits at all: every exponent is as likely as another.
    for count in (1, 1, 1, 2, 2, 3, 5, 8):
        add(chooser.integers(0, 2**32, count, dtype=np.uint32).view(np.float32))
        add(chooser.integers(0, 2**64, count, dtype=np.uint64).view(np.float64))
    # Powers of two have uneven neighbours, and halves are ties at some precision.
    for exponents in ((-149, -148), (-126, -127), (-60, -59), (10, 3), (90, 127)):
        add_floats([2.0**e for e in exponents])


def shapes_and_lines():
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 4)):
        for dtype in (*FLOATS, "int32"):
            add(np.zeros(shape, dtype))
    for count in (17, 18, 19, 24, 25, 26, 37, 38, 39, 100):
        add_ramp("float32", (count,), 0, 1)
        add_ramp("int32", (count,), -3, 1)
        add_ramp("float64", (count,), 0, 0.25)
    add_ramp("float32", (2, 30), 0, 0.125)
    add_ramp("int32", (2, 2, 40), 0, 7)
    add_ramp("int32", (1, 1, 1, 1, 1, 1), 4, 1)


def summaries():
    for dtype in (*FLOATS, "int32"):
        for shape in ((1000,), (1001,), (5000,), (7, 200), (200, 7), (6, 200), (200, 6), (200, 5), (20, 20, 20)):
            add_ramp(dtype, shape, 0, 1)
        add_ramp(dtype, (3, 3, 3, 50), -700, 1)
        add_ramp(dtype, (1, 1001), 5, 1)
        add_ramp(dtype, (1001, 1), 5, 1)
    # The values left out do not count for the format.
    hidden = np.ones(1100)
    hidden[500] = 1e12
    hidden[600] = 1 / 3
    add(hidden.astype(np.float32))
    add(hidden)
    add_ramp("float64", (4000,), 0.5, 2.5)


def options():
    values = chooser.standard_normal((3, 5)) * 10
    for precision in (0, 1, 2, 3, 5, 12, 20):
        add_floats(values, precision=precision)
        add_floats(values * 1e-6, precision=precision)
        add_floats([0.5, 1.5, 2.5, -0.5, 0.25, 0.125, 0.375], precision=precision)
        # Numbers wholly beyond the last decimal, beside ones that keep the notation positional.
        add_floats([0.0005, 0.5, 0.0006], precision=precision)
        add_floats([0.0004, 0.3, -0.0004], precision=precision)
        add_floats([9.96, 99.96, 0.04, 0.96], precision=precision)
        add_floats([9.96e-7, 9.5e-7, 8.5e-7], precision=precision)
    for width in (1, 10, 20, 40, 74, 76, 120):
        add_floats(np.round(values, 2), lineWidth=width)
        add_ramp("int32", (30,), 0, 5, lineWidth=width)
        add_ramp("int32", (2, 2, 30), 0, 1, lineWidth=width, threshold=10)
    for edge in (1, 2, 5):
        for dtype in ("float32", "int32"):
            add_ramp(dtype, (30,), 0, 1, threshold=20, edgeItems=edge)
            add_ramp(dtype, (6, 7, 8), 0, 1, threshold=20, edgeItems=edge)
            add_ramp(dtype, (2, 3), 0, 1, threshold=0, edgeItems=edge)


def main():
    for group in (scalars, notation, special_values, random_arrays, shapes_and_lines, summaries, options):
        group()
    text = "[\n" + ",\n".join(json.dumps(case, allow_nan=False, separators=(",", ":")) for case in cases) + "\n]\n"
    assert len(text) < 300_000, len(text)
    Path(__file__).with_name("print.json").write_text(text)


main()
