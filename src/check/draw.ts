/**
 * The `Draw` of operation records on fast-check: every number comes from an arbitrary, so that a failing sample shrinks to
 * small shapes and simple values.
 *
 * Values lie on a dyadic grid (multiples of 1/8; of 1/16 where they must be distinct), which float32 holds exactly. They
 * are drawn as places in a list that is sorted from simple to intricate: 0, 1, -1, 2, -2, 1/2, -1/2, ...
 */
import fc from 'fast-check'
import { findDevice } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import type { Draw, TensorDraw } from '../ops/record.ts'
import { type Shape, sizeOf } from '../tensor/shape.ts'
import { fromData, type Tensor } from '../tensor/tensor.ts'

/** Closest that a value comes to a point it keeps away from. */
const DISTANCE = 1 / 8

export interface ShapeOptions {
  minRank?: number
  maxRank?: number
  maxSize?: number
}

/** Made once for equal parameters: fast-check keeps a drawn value while shrinking only if its arbitrary is the same. */
function memo<P extends unknown[], R>(make: (...parameters: P) => R): (...parameters: P) => R {
  const made = new Map<string, R>()
  return (...parameters) => {
    const key = JSON.stringify(parameters, (_, value) => (typeof value === 'number' ? String(value) : value))
    let result = made.get(key)
    if (result === undefined) made.set(key, (result = make(...parameters)))
    return result
  }
}

/** How many halvings a value needs, then how far it is from 0, then its sign. */
function compareSimplicity(a: number, b: number): number {
  const depth = (x: number) => [1, 2, 4, 8, 16].findIndex((n) => Number.isInteger(x * n))
  return depth(a) - depth(b) || Math.abs(a) - Math.abs(b) || b - a
}

/** Grid values in [low, high] that keep their distance, the simplest first. */
const gridValues = memo((low: number, high: number, step: number, away: readonly number[]): number[] => {
  const values: number[] = []
  for (let i = Math.ceil(low / step); i <= Math.floor(high / step); i++) values.push(i * step)
  return values.filter((x) => away.every((point) => Math.abs(x - point) >= DISTANCE)).sort(compareSimplicity)
})

/** A place in a list of that length. Shrinks to the first place that still fails, tried one after another. */
class PlaceArbitrary extends fc.Arbitrary<number> {
  readonly #length: number
  constructor(length: number) {
    super()
    this.#length = length
  }
  override generate(random: fc.Random): fc.Value<number> {
    return new fc.Value(random.nextInt(0, this.#length - 1), undefined)
  }
  override canShrinkWithoutContext(value: unknown): value is number {
    return Number.isInteger(value) && (value as number) >= 0 && (value as number) < this.#length
  }
  override shrink(place: number): fc.Stream<fc.Value<number>> {
    const smaller = Array.from({ length: place }, (_, i) => new fc.Value(i, undefined))
    return fc.Stream.of(...smaller)
  }
}

const placeArbitrary = memo((length: number): fc.Arbitrary<number> => new PlaceArbitrary(length))

/** The grid that n values are taken from. Many distinct values need a range wider than was asked for. */
function gridFor(n: number, { low = -2, high = 2, away = [], distinct = false }: TensorDraw): number[] {
  if (!distinct) return gridValues(low, high, 1 / 8, away)
  let grow = 0
  while (gridValues(low - grow, high + grow, 1 / 16, away).length < n) grow++
  return gridValues(low - grow, high + grow, 1 / 16, away)
}

/** n values of the grid, from one draw each, so that shrinking a shape keeps the values that are left. */
function drawValues(draw: <T>(arbitrary: fc.Arbitrary<T>) => T, n: number, options: TensorDraw): number[] {
  const grid = gridFor(n, options)
  if (grid.length === 0 && n > 0) throw new SluiceError('draw', `no value fits ${JSON.stringify(options)}`)
  if (!options.distinct) return Array.from({ length: n }, () => grid[draw(placeArbitrary(grid.length))])
  const left = [...grid]
  return Array.from({ length: n }, () => left.splice(draw(placeArbitrary(left.length)), 1)[0])
}

/** n values of the grid. */
export function valuesArbitrary(n: number, options: TensorDraw): fc.Arbitrary<number[]> {
  return fc.gen().map((g) => drawValues((arbitrary) => g(builderOf(arbitrary)), n, options))
}

export const shapeArbitrary = memo(
  ({ minRank = 0, maxRank = 3, maxSize = 4 }: ShapeOptions): fc.Arbitrary<number[]> =>
    fc.array(fc.integer({ min: 1, max: maxSize }), { minLength: minRank, maxLength: maxRank }),
)

/** A shape that broadcasts with `shape`: axes become 1, axes of 1 grow, leading ones go, or one is added. */
export const broadcastableArbitrary = memo((shape: Shape): fc.Arbitrary<number[]> => {
  const axes = shape.map((n) => (n === 1 ? fc.integer({ min: 1, max: 3 }) : fc.constantFrom(n, 1)))
  const lead = fc.integer({ min: shape.length < 3 ? -1 : 0, max: shape.length })
  return fc.tuple(lead, ...axes).map(([dropped, ...sizes]) => (dropped < 0 ? [2, ...sizes] : sizes.slice(dropped)))
})

const integerArbitrary = memo((min: number, max: number) => fc.integer({ min, max }))
const booleanArbitrary = fc.boolean()

const builders = new Map<fc.Arbitrary<unknown>, () => fc.Arbitrary<unknown>>()

/** `arbitrary` as a builder without parameters, which the generator's own cache finds at once. */
function builderOf<T>(arbitrary: fc.Arbitrary<T>): () => fc.Arbitrary<T> {
  let builder = builders.get(arbitrary) as (() => fc.Arbitrary<T>) | undefined
  if (!builder) builders.set(arbitrary, (builder = () => arbitrary))
  return builder
}

/** A float64 tensor on the reference device. */
export function referenceTensor(values: ArrayLike<number>, shape: Shape): Tensor {
  return fromData(values, shape, 'float64', findDevice('reference'))
}

/**
 * A `Draw` whose every choice is a value of the generator `g`.
 *
 * @param largest of the sizes that `shape` gives: as the record asks unless given
 */
export function drawFrom(g: fc.GeneratorValue, largest = Number.POSITIVE_INFINITY): Draw {
  const draw = <T>(arbitrary: fc.Arbitrary<T>): T => g(builderOf(arbitrary))
  return {
    integer: (low, high) => draw(integerArbitrary(low, high)),
    boolean: () => draw(booleanArbitrary),
    pick: (options) => options[draw(integerArbitrary(0, options.length - 1))],
    shape: (options = {}) => draw(shapeArbitrary({ ...options, maxSize: Math.min(options.maxSize ?? 4, largest) })),
    broadcastable: (shape) => draw(broadcastableArbitrary(shape)),
    tensor: (shape, options = {}) => referenceTensor(drawValues(draw, sizeOf(shape), options), shape),
    indices: (shape, n) => {
      const values = Array.from({ length: sizeOf(shape) }, () => draw(placeArbitrary(n)))
      return fromData(values, shape, 'int32', findDevice('reference'))
    },
  }
}
