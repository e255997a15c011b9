/**
 * The models under models/, which transformers made (models.py), beside what this engine computes for the same weights.
 *
 * A folder holds a checkpoint and golden.safetensors: tokens, logits, loss, and the loss's gradient for every tensor of the
 * checkpoint, in float64 and under the checkpoint's own names.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gradients } from '../../src/autograd/tape.ts'
import { allWeights, decoderWeights } from '../../src/hub/families/decoder.ts'
import { familyOf, layoutOf } from '../../src/hub/families/index.ts'
import { decodeSafetensors, type HostTensor, loadPretrained } from '../../src/hub/index.ts'
import { scope, type Tensor, tensor } from '../../src/index.ts'
import { loadBalancingLoss, type Routing } from '../../src/nn/experts.ts'
import type { Transformer } from '../../src/nn/index.ts'
import { allToHost, toHost } from '../../src/tensor/host.ts'

export interface ModelGolden {
  readonly name: string
  /** As `loadPretrained` takes it. */
  readonly folder: string
  readonly tokens: HostTensor
  readonly targets: HostTensor
  readonly logits: HostTensor
  /** Mean cross-entropy alone. */
  readonly loss: HostTensor
  /** Of the loss, by the names of model.safetensors. */
  readonly gradients: ReadonlyMap<string, HostTensor>
  /** The load-balancing loss over all layers, without its coefficient; only with experts. */
  readonly balance?: HostTensor
  /** Of `balance`; empty where the case does not store them. */
  readonly balanceGradients: ReadonlyMap<string, HostTensor>
}

/** What the engine gives in place of each. */
export type Computed = Pick<ModelGolden, 'logits' | 'loss' | 'gradients' | 'balance' | 'balanceGradients'>

const root = fileURLToPath(new URL('models/', import.meta.url))

export const modelNames: readonly string[] = readdirSync(root).sort()

/** The entries of a map whose names begin so, without that beginning. */
function beginning(tensors: ReadonlyMap<string, HostTensor>, prefix: string): Map<string, HostTensor> {
  const found = [...tensors].filter(([name]) => name.startsWith(prefix))
  return new Map(found.map(([name, values]) => [name.slice(prefix.length), values]))
}

export function readModelGolden(name: string): ModelGolden {
  const folder = `${root}${name}`
  const { tensors } = decodeSafetensors(readFileSync(`${folder}/golden.safetensors`))
  const need = (key: string): HostTensor => {
    const found = tensors.get(key)
    if (!found) throw new Error(`${name}: golden.safetensors has no '${key}'`)
    return found
  }
  return {
    name,
    folder,
    tokens: need('tokens'),
    targets: need('targets'),
    logits: need('logits'),
    loss: need('loss'),
    gradients: beginning(tensors, 'gradient.'),
    balance: tensors.get('balance'),
    balanceGradients: beginning(tensors, 'balance.gradient.'),
  }
}

/** Values under a model's names, such as gradients, under those of its checkpoint: by the tables that save the weights. */
async function underFileNames(
  golden: ModelGolden,
  model: Transformer,
  values: ReadonlyMap<string, HostTensor>,
): Promise<Map<string, HostTensor>> {
  const family = familyOf('models.test', JSON.parse(readFileSync(`${golden.folder}/config.json`, 'utf8')))
  const layout = layoutOf(family, golden.gradients.keys())
  const read = async (name: string): Promise<HostTensor> => values.get(name)!
  const named = new Map<string, HostTensor>()
  for (const map of allWeights(decoderWeights(model.config, layout))) {
    for (const [at, { name }] of map.file.entries()) named.set(name, await map.save(at, read, 'float64'))
  }
  return named
}

/** The checkpoint as a model on a device, without its part for images. */
export function open({ folder }: ModelGolden, device: string): Promise<Transformer> {
  return loadPretrained(folder, { device, ignore: ['visual'] })
}

/** Logits, losses and gradients of a loaded model, on the device that it is on. */
export async function compute(golden: ModelGolden, model: Transformer): Promise<Computed> {
  const { device } = model
  const parameters = model.namedParameters()
  const found = scope(() => {
    const integers = ({ data, shape }: HostTensor): Tensor => tensor(data, { shape, dtype: 'int32', device })
    const [tokens, targets] = [integers(golden.tokens), integers(golden.targets)]
    const routings: Routing[] = []
    const logits = model.forward(tokens, { routed: (routing) => routings.push(routing) })
    const loss = model.loss(tokens, targets)
    const balance = routings.length > 0 ? loadBalancingLoss(routings) : undefined
    const list = [...parameters.values()]
    const wanted = balance && golden.balanceGradients.size > 0
    return { logits, loss, balance, of: gradients(loss, list), balanceOf: wanted ? gradients(balance, list) : [] }
  })
  const names = [...parameters.keys()]
  const inFile = async (list: readonly Tensor[]): Promise<Map<string, HostTensor>> => {
    if (list.length === 0) return new Map()
    return underFileNames(golden, model, await allToHost(new Map(list.map((t, i) => [names[i], t]))))
  }
  const computed: Computed = {
    logits: await toHost(found.logits),
    loss: await toHost(found.loss),
    balance: found.balance && (await toHost(found.balance)),
    gradients: await inFile(found.of),
    balanceGradients: await inFile(found.balanceOf),
  }
  for (const t of [found.logits, found.loss, found.balance, ...found.of, ...found.balanceOf]) t?.dispose()
  return computed
}

export interface Bounds {
  /** Of logits and losses, which are of order 1: absolute. */
  readonly values: number
  /** Of a gradient, relative to the largest entry of its tensor. */
  readonly gradients: number
}

/**
 * On the reference device. One unit roundoff in the weights moves a value or gradient by 1.1e-13 at most (models.py measures
 * it, and refuses 1e-11); sums here have at most some hundred terms, so a stable evaluation is exact for weights off by about
 * a hundred roundoffs: 1e-11. A single rounding to float32 anywhere is 1e-8 or more, and does not pass.
 */
export const float64: Bounds = { values: 1e-10, gradients: 1e-10 }

/**
 * On a device of float32. transformers' own float32 is off by up to 2e-5 in logits and 1e-4 in gradients (models.py draws
 * anew where it is more): another order of summation has five and ten times that.
 */
export const float32: Bounds = { values: 1e-4, gradients: 1e-3 }

/** Everything that is not as the golden has it, one line each; empty when all is. */
export function differencesFrom(golden: ModelGolden, computed: Computed, bounds: Bounds): string[] {
  const wrong: string[] = []
  const compare = (what: string, got: HostTensor | undefined, want: HostTensor | undefined, bound: number): void => {
    if (!got || !want) {
      if (got !== want) wrong.push(`${what} is ${got ? 'not expected' : 'missing'}`)
      return
    }
    if (`${got.shape}` !== `${want.shape}`) wrong.push(`${what} has shape [${got.shape}], expected [${want.shape}]`)
    else {
      const errors = Array.from(want.data, (value, i) => Math.abs(got.data[i] - value))
      // Written so that NaN is wrong.
      const at = errors.findIndex((error) => !(error <= bound))
      if (at < 0) return
      const worst = errors.reduce((a, b) => Math.max(a, b), 0)
      wrong.push(`${what}[${at}] is ${got.data[at]}, expected ${want.data[at]}; off by ${worst}, allowed ${bound}`)
    }
  }
  const compareAll = (what: string, got: Computed['gradients'], want: Computed['gradients']): void => {
    for (const name of new Set([...want.keys(), ...got.keys()])) {
      const largest = Array.from(want.get(name)?.data ?? []).reduce((a, b) => Math.max(a, Math.abs(b)), 0)
      compare(`${what} of ${name}`, got.get(name), want.get(name), bounds.gradients * largest)
    }
  }
  compare('logits', computed.logits, golden.logits, bounds.values)
  compare('loss', computed.loss, golden.loss, bounds.values)
  compare('balance', computed.balance, golden.balance, bounds.values)
  compareAll('gradient', computed.gradients, golden.gradients)
  compareAll('balance gradient', computed.balanceGradients, golden.balanceGradients)
  return wrong
}
