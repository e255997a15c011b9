/** The page of accuracy: what `npm run accuracy` measured, as Markdown. */
import type { Accuracy } from '../../src/check/index.ts'
import { type Table, tableInMarkdown } from '../table.ts'
import type { SumAccuracy } from './sums.ts'

/** What one device gave. */
export interface DeviceAccuracy {
  /** Device and variant: 'cpu plain', 'webgpu lavapipe'. */
  readonly name: string
  /** What computed: vectors, or the adapter. */
  readonly description: string
  readonly stride: number
  readonly functions: readonly Accuracy[]
  readonly sums: readonly SumAccuracy[]
}

/** Units in the last place; a result that is always the float32 number nearest to the exact one is named so. */
function units(worst: number): string {
  if (worst === 0) return 'exact'
  if (worst > 1e6) return '> 10⁶'
  return worst < 10 ? worst.toFixed(2) : worst.toFixed(0)
}

/** From here on a subnormal number was taken for 0. */
const flushed = 2 ** 20

function remark({ subnormal, misplaced }: Accuracy): string {
  if (misplaced > 0) return ` (${misplaced} misplaced)`
  return subnormal >= flushed ? ' ⁰' : ''
}

const columns = (devices: readonly DeviceAccuracy[]): string[] => devices.map(({ name }) => name)

function functionTable(title: string, devices: readonly DeviceAccuracy[], names: readonly string[]): Table {
  const rows = names.map((name) => [
    `\`${name}\``,
    ...devices.map(({ functions }) => {
      const found = functions.find(({ operation }) => operation === name)
      return found ? units(found.worst) + remark(found) : ''
    }),
  ])
  return { title, headings: ['function', ...columns(devices)], rows }
}

function sumTable(devices: readonly DeviceAccuracy[]): Table {
  const rows = devices[0].sums.map(({ operation, of, terms }, i) => [
    `\`${operation}\``,
    of,
    terms.toLocaleString('en'),
    ...devices.map(({ sums }) => (sums[i] ? sums[i].worst.toFixed(2) : '')),
  ])
  return { title: 'Sums and products', headings: ['operation', 'of', 'terms', ...columns(devices)], rows }
}

/** Where the worst errors lie, for those beyond `least` units. */
function worstTable(devices: readonly DeviceAccuracy[], least: number): Table {
  const rows = devices.flatMap(({ name, functions }) =>
    functions
      .filter(({ worst }) => worst > least)
      .map(({ operation, at, exact, got, worst }) => [
        `\`${operation}(${at.join(', ')})\``,
        name,
        exact.toPrecision(9),
        got.toPrecision(9),
        units(worst),
      ]),
  )
  return { title: `Beyond ${least} units: where`, headings: ['at', 'device', 'exact', 'found', 'ulp'], rows }
}

/** @param command as it was given */
export function accuracyPage(
  devices: readonly DeviceAccuracy[],
  functions: { readonly one: readonly string[]; readonly two: readonly string[] },
  command: string,
  machine: string,
): string {
  const strides = devices.map(({ name, stride }) => `${name}: every ${stride === 1 ? '' : `${stride}th `}float32`)
  return `# Accuracy

How far results are off, measured by \`${command}\` (${machine}). The tests fail when a kernel gets worse than this page.

The exact value is the \`reference\` device's, in float64, of the same float32 inputs. Errors are in units in the last place (ulp): the
distance of neighbouring float32 numbers at the exact value. A result that is rounded correctly is off by half a unit at most; a
function whose every result is the nearest float32 number is called *exact*. The largest error over everything that was tried
(${strides.join('; ')}; pairs for functions of two arguments: half of them within a factor of 2⁴ of each other, half anywhere):

${tableInMarkdown(functionTable('Functions of one number', devices, functions.one))}

${tableInMarkdown(functionTable('Functions of two', devices, functions.two))}

⁰ numbers below 2⁻¹²⁶ (subnormal) are taken for 0, as WGSL allows. *Misplaced*: finite where infinity or NaN is right, or the other way
round.

- \`gelu\`, \`silu\`: far out on the negative side the result is x times a tiny sigmoid, and the exponential carries the rounding of its
  argument, which is large: gelu(-10) is 0 to any sum that it is part of.
- WGSL asks for less than float32 holds. \`log\` near 1, \`tanh\` near 0 and what is made of them are right to some 2⁻²⁴ of 1, not of
  themselves; exponentials carry the rounding of x log₂ e. \`sin\` and \`cos\` are our own up to 8192 and the adapter's beyond, which is where
  the worst lie.
- \`relaxed\` and \`wide\` differ in the matrix product only, so one column stands for both.

${tableInMarkdown(worstTable(devices, 4))}

${tableInMarkdown(sumTable(devices))}

The number is the error over u Σ|terms|, u = 2⁻²⁴; of \`softmax\` and \`logsumexp\` over u times the result. In any order a sum of n terms is
within n - 1 of these (Higham, *Accuracy and Stability of Numerical Algorithms*, section 4.2); the tests hold sums and products to it.
Sums in several vectors and blocks stay far below it.

${devices.map(({ name, description }) => `- ${name}: ${description}`).join('\n')}
`
}
