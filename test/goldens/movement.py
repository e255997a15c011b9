"""Goldens of the operations that move elements (movement, indexing) and of those that contract them (products)."""

import jax
import jax.numpy as jnp
import numpy as np
from golden import case, indices, integers, normal


def transpose(x, axis1=-2, axis2=-1):
    return jnp.swapaxes(x, axis1, axis2)


def slice_reference(x, ranges):
    return x[tuple(slice(None) if bounds is None else slice(*bounds) for bounds in ranges)]


def pad(x, widths, value=0):
    return jnp.pad(x, widths, constant_values=value)


def movement_cases():
    yield case("reshape", "rank 2 to rank 3", jnp.reshape, normal(4, 6), [2, 3, 4])
    yield case("reshape", "one size inferred", jnp.reshape, normal(2, 3, 5), [3, -1])
    yield case("reshape", "one element to rank 0", jnp.reshape, normal(1, 1), [])
    yield case("reshape", "rank 0 to rank 2", jnp.reshape, normal(), [1, 1])

    yield case("transpose", "last two axes unless given", transpose, normal(2, 3, 4))
    yield case("transpose", "first and last", transpose, normal(2, 3, 4), 0, 2)
    yield case("transpose", "negative axes", transpose, normal(2, 3, 2, 3), -3, -1)
    yield case("permute", "rank 3", jnp.transpose, normal(2, 3, 4), [2, 0, 1])
    yield case("permute", "rank 4", jnp.transpose, normal(2, 1, 3, 2), [3, 1, 0, 2])
    yield case("permute", "negative axes", jnp.transpose, normal(2, 3, 4), [-1, 0, -2])

    yield case("slice", "inside", slice_reference, normal(4, 5), [[1, 3], [0, 4]])
    yield case("slice", "an axis left whole", slice_reference, normal(2, 5, 3), [None, [2, 5], None])
    yield case("slice", "negative bounds", slice_reference, normal(5, 6), [[-3, -1], [1, -2]])
    yield case("slice", "one element", slice_reference, normal(3, 4), [[2, 3], [-1, 4]])

    join = {"concat": jnp.concatenate, "stack": jnp.stack}
    yield case("concat", "first axis unless given", join["concat"], [normal(2, 3), normal(1, 3), normal(3, 3)])
    yield case("concat", "last axis", join["concat"], [normal(2, 3), normal(2, 1)], -1)
    yield case("concat", "middle axis", join["concat"], [normal(2, 2, 3), normal(2, 1, 3)], 1)
    yield case("concat", "one tensor", join["concat"], [normal(2, 3)], 0)
    yield case("stack", "first axis unless given", join["stack"], [normal(2, 3), normal(2, 3), normal(2, 3)])
    yield case("stack", "middle axis", join["stack"], [normal(2, 3), normal(2, 3)], 1)
    yield case("stack", "last axis", join["stack"], [normal(2, 3), normal(2, 3)], -1)
    yield case("stack", "rank 0", join["stack"], [normal(), normal()], 0)

    yield case("pad", "with zeros", pad, normal(2, 3), [[1, 0], [0, 2]])
    yield case("pad", "with a value", pad, normal(2, 3), [[1, 2], [2, 1]], -1.5)
    yield case("pad", "rank 3, nothing on one axis", pad, normal(2, 2, 3), [[0, 1], [0, 0], [2, 0]], 0.5)

    yield case("expand", "axis of size one", jnp.broadcast_to, normal(2, 1, 3), [2, 4, 3])
    yield case("expand", "new leading axes", jnp.broadcast_to, normal(3), [2, 2, 3])
    yield case("expand", "rank 0", jnp.broadcast_to, normal(), [2, 3])
    yield case("expand", "the same shape", jnp.broadcast_to, normal(2, 3), [2, 3])

    yield case("squeeze", "middle axis", jnp.squeeze, normal(2, 1, 3), 1)
    yield case("squeeze", "negative axis", jnp.squeeze, normal(1, 3, 1), -1)
    yield case("unsqueeze", "first axis", jnp.expand_dims, normal(2, 3), 0)
    yield case("unsqueeze", "new last axis", jnp.expand_dims, normal(2, 3), -1)
    yield case("unsqueeze", "rank 0", jnp.expand_dims, normal(), 0)

    for op, reference in {"tril": jnp.tril, "triu": jnp.triu}.items():
        yield case(op, "square", reference, normal(4, 4))
        yield case(op, "wide, above the diagonal", reference, normal(3, 5), 1)
        yield case(op, "batch of tall, below the diagonal", reference, normal(2, 4, 3), -1)
    yield case("flip", "first axis", jnp.flip, normal(3, 2), 0)
    yield case("flip", "negative axis", jnp.flip, normal(2, 3, 4), -2)
    yield case("flip", "axis of size one", jnp.flip, normal(2, 1), 1)


def gather(x, positions, axis):
    return jnp.take_along_axis(x, positions, axis)


def scatter_add(x, positions, source, axis):
    """x with source[i] added at positions[i] along the axis, repeats accumulating."""
    where = list(np.indices(positions.shape))
    where[axis] = positions
    return x.at[tuple(where)].add(source)


def one_hot(positions, count):
    return jax.nn.one_hot(positions, count, dtype=jnp.float64)


def embedding(table, positions):
    return table[positions]


def indexing_cases():
    yield case("gather", "last axis, repeats", gather, normal(2, 4), integers([[0, 0, 3], [2, 2, 2]]), 1)
    yield case("gather", "first axis, more than there were", gather, normal(2, 3), indices(2, 5, 3), 0)
    yield case("gather", "negative axis of rank 3", gather, normal(2, 4, 3), indices(4, 2, 2, 3), -2)
    yield case("gather", "vector", gather, normal(5), integers([4, 0, 4]), 0)

    yield case("scatterAdd", "repeats accumulate", scatter_add, normal(4), integers([1, 3, 1, 1, 0]), normal(5), 0)
    rows = integers([[0, 2, 2], [1, 1, 1]])
    yield case("scatterAdd", "last axis", scatter_add, normal(2, 4), rows, normal(2, 3), -1)
    yield case("scatterAdd", "first axis", scatter_add, normal(3, 2), indices(3, 4, 2), normal(4, 2), 0)
    yield case("scatterAdd", "middle axis", scatter_add, normal(2, 3, 2), indices(3, 2, 4, 2), normal(2, 4, 2), 1)

    yield case("embedding", "vector of repeats", embedding, normal(5, 3), integers([2, 0, 2, 4, 2]))
    yield case("embedding", "rank 2 indices", embedding, normal(4, 2), integers([[3, 1, 3], [0, 0, 1]]))
    yield case("embedding", "rank 0 index", embedding, normal(4, 3), integers(1))
    yield case("oneHot", "vector", one_hot, integers([0, 2, 3, 2]), 4)
    yield case("oneHot", "rank 2", one_hot, integers([[1, 0], [2, 2]]), 3)
    yield case("oneHot", "rank 0", one_hot, integers(1), 3)


def solve_unit_lower(a, b, transpose=False):
    """X with (I + strictTril(a)) X = b, or with that matrix transposed."""
    matrix = jnp.eye(a.shape[-1]) + jnp.tril(a, -1)
    return jnp.linalg.solve(jnp.swapaxes(matrix, -1, -2) if transpose else matrix, b)


def product_cases():
    shapes = {
        "matrices": ((3, 5), (5, 2)),
        "vector with vector": ((5,), (5,)),
        "vector with matrix": ((4,), (4, 3)),
        "matrix with vector": ((3, 4), (4,)),
        "vector with batch": ((3,), (2, 3, 4)),
        "batch with vector": ((2, 3, 4), (4,)),
        "equal batches": ((2, 3, 4), (2, 4, 2)),
        "batch with matrix": ((2, 3, 4), (4, 2)),
        "matrix with batch": ((3, 4), (2, 4, 2)),
        "batches broadcast both ways": ((2, 1, 2, 3), (3, 3, 2)),
        "batch of size one": ((1, 2, 3), (2, 3, 2)),
        "odd sizes": ((7, 3), (3, 5)),
        "sizes of one": ((1, 1), (1, 4)),
    }
    for name, (a, b) in shapes.items():
        yield case("matmul", name, jnp.matmul, normal(*a), normal(*b), exact=np.matmul)

    specs = {
        "trace": ("ii->", (4, 4)),
        "diagonal": ("ii->i", (4, 4)),
        "diagonal of a batch": ("bii->bi", (2, 3, 3)),
        "transpose": ("ij->ji", (2, 3)),
        "sum of an axis": ("ijk->ik", (2, 3, 2)),
        "sum of everything": ("ij->", (2, 3)),
        "matrix product": ("ij,jk->ik", (2, 3), (3, 4)),
        "inner product": ("i,i->", (5,), (5,)),
        "outer product": ("i,j->ij", (3,), (4,)),
        "elementwise product transposed": ("ij,ij->ji", (2, 3), (2, 3)),
        "batched": ("bij,bkj->bik", (2, 3, 4), (2, 2, 4)),
        "attention scores": ("bthd,bshd->bhts", (1, 3, 2, 2), (1, 4, 2, 2)),
        "an index of one operand summed": ("ij,k->ik", (2, 3), (2,)),
        "ellipsis": ("...ij,...jk->...ik", (2, 2, 3), (2, 3, 2)),
        "ellipsis broadcast": ("...ij,...jk->...ik", (2, 1, 2, 3), (3, 3, 2)),
        "ellipsis of one operand": ("...i,ij->...j", (2, 2, 3), (3, 2)),
        "ellipsis moved": ("i...->...i", (2, 3, 2)),
        "three operands": ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
        "three operands, one shared index": ("ai,bi,ci->abc", (2, 3), (2, 3), (2, 3)),
        "repeated index against a vector": ("ii,i->i", (3, 3), (3,)),
    }
    for name, (spec, *operands) in specs.items():
        tensors = [normal(*shape) for shape in operands]
        exact = lambda *arrays, spec=spec: np.einsum(spec, *arrays)
        yield case("einsum", name, jnp.einsum, spec, *tensors, exact=exact)

    solve = solve_unit_lower
    for options in ({}, {"transpose": True}):
        kind = "transposed" if options else "plain"
        given = [options] if options else []
        # Diagonal and upper triangle of `a` are filled: they must not matter, and their gradient is zero.
        yield case("solveUnitLower", f"{kind}", solve, normal(4, 4), normal(4, 3), *given)
        yield case("solveUnitLower", f"{kind}, batch", solve, normal(2, 3, 3), normal(2, 3, 2), *given)
        yield case("solveUnitLower", f"{kind}, rank 4", solve, normal(2, 1, 2, 2), normal(2, 1, 2, 1), *given)
        yield case("solveUnitLower", f"{kind}, one row", solve, normal(1, 1), normal(1, 2), *given)
        yield case("solveUnitLower", f"{kind}, 17 rows", solve, normal(17, 17, scale=0.2), normal(17, 2), *given)


def cases():
    yield from movement_cases()
    yield from indexing_cases()
    yield from product_cases()
