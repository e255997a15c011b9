/** The settings of the GPU bench: its options, and the work that they stand for. */
import { parseArgs } from 'node:util'
import { type HashModelSize, hashModelSizes, largeModelSizes } from '../hash-model.ts'

export const usage = `usage: npm run bench:gpu -- [options]
       npm run bench:gpu -- --compare FILE    tables in Markdown from a results file

  --quick          tiny sizes, for a software adapter: a minute on lavapipe
  --only LIST      of products, steps, profile and parity (all)
  --models LIST    of ${[...Object.keys(hashModelSizes), ...Object.keys(largeModelSizes)].join(', ')} (all)
  --largest N      largest size of a matrix product (8192)
  --batch-base N   sequences a step of the model base (8)
  --batch-large N  sequences a step of the model large (4)
  --parity N       random cases an operation (50)
  --rounds N       times that the engines take turns (2)
  --minutes N      end after this time, with what there is by then (none)
  --torch PYTHON   measure PyTorch too, with this Python, in turns
  --torch-device D cuda (default) or cpu
  --out FOLDER     where results are written as they come (runs/bench-gpu)
  --save           also write bench/results/<date>-webgpu-<adapter>.json`

export const sections = ['products', 'steps', 'profile', 'parity'] as const
export type Section = (typeof sections)[number]

/** op(a) op(b) with a [m, k] and b [k, n], `batch` of them; N as it is, T transposed. */
export interface ProductCase {
  readonly row: string
  readonly batch: number
  readonly m: number
  readonly k: number
  readonly n: number
  readonly layout: 'NN' | 'NT' | 'TN'
}

export interface GpuSettings {
  readonly quick: boolean
  readonly only: readonly Section[]
  readonly models: Readonly<Record<string, HashModelSize>>
  readonly products: readonly ProductCase[]
  readonly parity: number
  readonly rounds: number
  readonly minutes: number
  readonly torch: string | undefined
  readonly torchDevice: string
  readonly out: string
  readonly save: boolean
  readonly compare: string | undefined
  readonly help: boolean
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${option} must be a positive integer, got '${text}'`)
  return value
}

/** A part of one too; none given: no end. */
function minutesOf(text: string | undefined): number {
  const value = Number(text ?? Number.POSITIVE_INFINITY)
  if (!(value > 0)) throw new Error(`--minutes must be a positive number, got '${String(text)}'`)
  return value
}

function listOf<T extends string>(option: string, text: string | undefined, known: readonly T[]): readonly T[] {
  if (text === undefined) return known
  return text.split(',').map((name) => {
    const found = known.find((k) => k === name)
    if (!found) throw new Error(`--${option}: there is no '${name}'; there are ${known.join(', ')}`)
    return found
  })
}

const square = (n: number, layout: ProductCase['layout'] = 'NN'): ProductCase => ({
  row: `${n} ${layout}`,
  batch: 1,
  m: n,
  k: n,
  n,
  layout,
})

/** Floating-point operations, a multiply-add being two. */
export const productFlops = ({ batch, m, k, n }: ProductCase): number => 2 * batch * m * k * n

export function productCases(largest: number, quick = false): ProductCase[] {
  const batched = (batch: number, n: number): ProductCase => ({ ...square(n), row: `${batch} x ${n} NN`, batch })
  const thin = (m: number, k: number): ProductCase => ({
    row: `${m} x ${k} x ${m} NN`,
    batch: 1,
    m,
    k,
    n: m,
    layout: 'NN',
  })
  const cases = quick
    ? [square(64), square(128), square(128, 'NT'), square(128, 'TN'), batched(4, 64), thin(128, 16)]
    : [
        ...[512, 1024, 2048, 4096, 8192].map((n) => square(n)),
        square(2048, 'NT'),
        square(2048, 'TN'),
        batched(64, 512),
        thin(4096, 256),
      ]
  return cases.filter(({ m, k, n }) => Math.max(m, k, n) <= largest)
}

/** @throws Error for an option or a value that there is not */
export function parseSettings(args: readonly string[]): GpuSettings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      models: { type: 'string' },
      largest: { type: 'string', default: '8192' },
      'batch-base': { type: 'string' },
      'batch-large': { type: 'string' },
      parity: { type: 'string' },
      rounds: { type: 'string' },
      minutes: { type: 'string' },
      torch: { type: 'string' },
      'torch-device': { type: 'string', default: 'cuda' },
      out: { type: 'string', default: 'runs/bench-gpu' },
      save: { type: 'boolean', default: false },
      compare: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const { quick } = values
  const number = (option: 'batch-base' | 'batch-large' | 'parity' | 'rounds', otherwise: number) => {
    const text = values[option]
    return text === undefined ? otherwise : wholeNumber(option, text)
  }
  const all: Record<string, HashModelSize> = {
    ...hashModelSizes,
    base: { ...largeModelSizes.base, B: number('batch-base', largeModelSizes.base.B) },
    large: { ...largeModelSizes.large, B: number('batch-large', largeModelSizes.large.B) },
  }
  const names = listOf('models', values.models ?? (quick ? 'tiny' : undefined), Object.keys(all))
  return {
    quick,
    only: listOf('only', values.only, sections),
    models: Object.fromEntries(names.map((name) => [name, all[name]])),
    products: productCases(wholeNumber('largest', values.largest), quick),
    parity: number('parity', quick ? 1 : 50),
    rounds: number('rounds', quick ? 1 : 2),
    minutes: minutesOf(values.minutes),
    torch: values.torch,
    torchDevice: values['torch-device'],
    out: values.out,
    save: values.save,
    compare: values.compare,
    help: values.help,
  }
}
