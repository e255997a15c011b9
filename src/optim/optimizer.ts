/**
 * What all optimizers share: parameter groups, the step over all parameters, moments that live as long as their
 * parameter, and saving for exact resume.
 */
import { noGrad } from '../autograd/tape.ts'
import { SluiceError } from '../errors.ts'
import { zeros } from '../tensor/create.ts'
import { allToHost, assignAll, type HostTensor } from '../tensor/host.ts'
import { liveWith } from '../tensor/lifetime.ts'
import { atEveryRun } from '../tensor/recording.ts'
import { fromHost, isTensor, scope, type Tensor } from '../tensor/tensor.ts'

/** Parameters with settings of their own. */
export interface ParameterGroup {
  /** Of any shapes. */
  readonly params: readonly Tensor[]
  /** Replaces the optimizer's rate; when `optimizer.lr` is set later, the ratio between the two stays. */
  readonly lr?: number
  /** Replaces the optimizer's weight decay. */
  readonly weightDecay?: number
}

/** What an optimizer takes: a list of parameters, or a list of groups. */
export type OptimizerParameters = readonly Tensor[] | readonly ParameterGroup[]

/** A group as an optimizer declares it: with the names of its moments. */
export interface MomentGroup extends ParameterGroup {
  readonly moments: readonly string[]
}

/** One parameter with all that its optimizer knows of it. */
export interface Slot {
  /** As `state` names its moments. */
  readonly name: string
  /** Of any shape. */
  readonly parameter: Tensor
  /** The group's rate over the optimizer's. */
  readonly rateRatio: number
  /** The group's, or the optimizer's. */
  readonly weightDecay: number
  /** Running averages, of the parameter's shape, 0 at the start. */
  readonly moments: Readonly<Record<string, Tensor>>
  /** Steps in which it had a gradient. */
  steps: number
}

const STEPS = 'steps'

export abstract class Optimizer {
  /** The learning rate of the next step; set it as often as you like. */
  lr: number
  protected readonly slots: readonly Slot[]
  readonly #operation: string

  /** Parameters start with their moments at 0, whether they will get gradients or not. */
  protected constructor(
    operation: string,
    groups: readonly MomentGroup[],
    options: { readonly lr: number; readonly weightDecay: number },
  ) {
    needNonNegative(operation, 'lr', options.lr)
    needNonNegative(operation, 'weightDecay', options.weightDecay)
    this.#operation = operation
    this.lr = options.lr
    this.slots = makeSlots(operation, groups, options)
  }

  /** All parameters, of any shapes, in the order in which they were given. */
  get parameters(): Tensor[] {
    return this.slots.map(({ parameter }) => parameter)
  }

  /** Whether `step` takes a guard: it does where one fused kernel moves all parameters. */
  get guarded(): boolean {
    return false
  }

  /** Steps done: the largest count of any parameter. */
  get steps(): number {
    return Math.max(0, ...this.slots.map(({ steps }) => steps))
  }

  /**
   * Moves every parameter that has a gradient. Parameters without one keep their value and their moments.
   *
   * @param guard a number of shape [], such as the gradient's norm: where it is not finite, parameters and moments stay as they are,
   *   without anyone reading it. @throws SluiceError for one unless the optimizer is `guarded`
   */
  step(guard?: Tensor): void {
    if (guard && !this.guarded) throw new SluiceError(this.#operation, 'it cannot leave out a step by a guard')
    scope(() => {
      noGrad(() => {
        const slots = this.slots.filter(({ parameter }) => parameter.grad !== null)
        // All that a step does on the host is here and in what `rate` is asked for: a captured step does both again.
        atEveryRun(() => {
          needNonNegative(this.#operation, 'lr', this.lr)
          for (const slot of slots) slot.steps++
        })
        this.updateAll(slots, (slot) => this.lr * slot.rateRatio, guard)
      })
    })
  }

  /**
   * Moves the parameters of `slots`, all of which have gradients and have counted this step; one by one, unless an
   * optimizer knows better.
   *
   * @param rate of a slot at this step: asked again whenever the step is run, so call it where its number is used
   */
  protected updateAll(slots: readonly Slot[], rate: (slot: Slot) => number, _guard?: Tensor): void {
    for (const slot of slots) {
      const { parameter } = slot
      parameter.assign(this.update(slot, parameter.grad!, () => rate(slot)))
    }
  }

  /** The parameter's next value, from its gradient; replaces the slot's moments. Nothing in it is recorded. */
  protected abstract update(slot: Slot, gradient: Tensor, rate: () => number): Tensor

  /** Frees all gradients. */
  zeroGrad(): void {
    for (const { parameter } of this.slots) {
      parameter.grad?.dispose()
      parameter.grad = null
    }
  }

  /** Moments as `name.moment` and the step counts as `steps`: with the parameters' values, all that resuming needs. */
  async state(): Promise<Map<string, HostTensor>> {
    const data = Int32Array.from(this.slots, ({ steps }) => steps)
    const counts: HostTensor = { dtype: 'int32', shape: [data.length], data }
    return new Map([...(await allToHost(this.#moments())), [STEPS, counts]])
  }

  /**
   * Takes over what `state` gave.
   *
   * @throws SluiceError naming missing, unexpected and misshapen entries; nothing is changed then
   */
  loadState(state: ReadonlyMap<string, HostTensor>): void {
    const operation = `${this.#operation}.loadState`
    const counts = state.get(STEPS)
    if (!counts || counts.data.length !== this.slots.length) {
      const got = counts ? `${counts.data.length} counts` : 'none'
      throw new SluiceError(operation, `expected an entry '${STEPS}' of ${this.slots.length} counts, got ${got}`)
    }
    assignAll(operation, this.#moments(), new Map([...state].filter(([name]) => name !== STEPS)))
    this.slots.forEach((slot, i) => {
      slot.steps = counts.data[i]
    })
  }

  /** Frees the moments; the parameters are not touched. */
  dispose(): void {
    for (const moment of this.#moments().values()) moment.dispose()
  }

  #moments(): Map<string, Tensor> {
    return new Map(
      this.slots.flatMap(({ name, moments }) =>
        Object.entries(moments).map(([moment, t]): [string, Tensor] => [`${name}.${moment}`, t]),
      ),
    )
  }
}

function makeSlots(
  operation: string,
  groups: readonly MomentGroup[],
  options: { readonly lr: number; readonly weightDecay: number },
): Slot[] {
  const all = groups.flatMap(({ params }) => params)
  checkParameters(operation, all)
  const names = namesOf(all)
  return groups.flatMap((group) => {
    const weightDecay = group.weightDecay ?? options.weightDecay
    needNonNegative(operation, 'weightDecay', weightDecay)
    const rateRatio = ratio(operation, group.lr, options.lr)
    return group.params.map((parameter) => ({
      name: names.get(parameter)!,
      parameter,
      rateRatio,
      weightDecay,
      moments: Object.fromEntries(group.moments.map((moment) => [moment, zerosBeside(parameter)])),
      steps: 0,
    }))
  })
}

function zerosBeside(parameter: Tensor): Tensor {
  const moment = zeros(parameter.shape, { device: parameter.device })
  liveWith(moment, parameter)
  return moment
}

function ratio(operation: string, own: number | undefined, common: number): number {
  if (own === undefined) return 1
  needNonNegative(operation, 'lr', own)
  if (common > 0) return own / common
  throw new SluiceError(operation, `a group has lr ${own} but the optimizer's is 0; give it the largest rate instead`)
}

function checkParameters(operation: string, parameters: readonly Tensor[]): void {
  if (parameters.length === 0) throw new SluiceError(operation, 'there are no parameters to train')
  const seen = new Set<Tensor>()
  parameters.forEach((parameter, i) => {
    const name = parameter?.label || `parameter ${i}`
    if (!isTensor(parameter)) throw new SluiceError(operation, `parameter ${i} is no tensor; give module.parameters()`)
    if (!parameter.requiresGrad) throw new SluiceError(operation, `${name} has requiresGrad off; it cannot be trained`)
    if (seen.has(parameter)) throw new SluiceError(operation, `${name} is given twice; each belongs to one group`)
    seen.add(parameter)
  })
}

/** Labels where they are set and distinct, else positions. */
function namesOf(parameters: readonly Tensor[]): Map<Tensor, string> {
  const labels = new Set(parameters.map(({ label }) => label))
  const distinct = labels.size === parameters.length && !labels.has('')
  return new Map(parameters.map((parameter, i) => [parameter, distinct ? parameter.label : `parameters.${i}`]))
}

/** A rank-0 factor beside `like` that every run of the step computes anew, such as a rate. */
export function stepNumber(make: () => number, like: Tensor): Tensor {
  const { device } = like.storage
  return fromHost(() => [make()], [], device.floatType, device)
}

/** Groups from a list of parameters or of groups. */
export function groupsOf(parameters: OptimizerParameters, moments: readonly string[]): MomentGroup[] {
  const isGroup = (entry: Tensor | ParameterGroup): entry is ParameterGroup => !isTensor(entry) && 'params' in entry
  if (parameters.length > 0 && parameters.every(isGroup)) return parameters.map((group) => ({ ...group, moments }))
  return [{ params: parameters as readonly Tensor[], moments }]
}

export function needNonNegative(operation: string, name: string, value: number): void {
  if (!(value >= 0 && value < Infinity)) {
    throw new SluiceError(operation, `${name} must be a finite number from 0 up, got ${value}`)
  }
}

/** @throws SluiceError unless the value lies in [0, 1), as averages' factors do */
export function needFactor(operation: string, name: string, value: number): void {
  if (!(value >= 0 && value < 1)) throw new SluiceError(operation, `${name} must be in [0, 1), got ${value}`)
}
