/**
 * The base of all layers and models: a module is an object whose properties are its parameters and its parts.
 *
 * Parameters are found by walking own properties in the order of their declaration, through modules, lists and plain
 * records, and are named by their path: `layers.0.attention.queryProjection.weight`. A tensor that appears twice counts
 * once, under its first name.
 */
import { allToHost, assignAll, type HostTensor } from '../tensor/host.ts'
import { isTensor, type Tensor } from '../tensor/tensor.ts'

export abstract class Module {
  /**
   * All tensors that belong to the module, of any shapes, trained or not, by dotted name. Sets each one's `label` to its name, so that
   * errors can say which it is.
   */
  namedTensors(): Map<string, Tensor> {
    const found = new Map<string, Tensor>()
    collect(this, '', found, new Set())
    for (const [name, t] of found) {
      // A part that is asked for its own names does not cut those that the whole gave.
      if (!t.label.endsWith(`.${name}`)) t.label = name
    }
    return found
  }

  /** The tensors with `requiresGrad`, of any shapes, by dotted name, in the order of declaration. */
  namedParameters(): Map<string, Tensor> {
    return new Map([...this.namedTensors()].filter(([, t]) => t.requiresGrad))
  }

  /** The tensors with `requiresGrad`, of any shapes, as an optimizer takes them. */
  parameters(): Tensor[] {
    return [...this.namedParameters().values()]
  }

  /** Number of values in all tensors of the module, frozen ones included. */
  get parameterCount(): number {
    return [...this.namedTensors().values()].reduce((sum, t) => sum + t.size, 0)
  }

  /** Copies of all tensors in host memory, frozen ones included, by name. */
  stateDict(): Promise<Map<string, HostTensor>> {
    return allToHost(this.namedTensors())
  }

  /**
   * Takes over the values that `stateDict` gave, rounded to the device's float type.
   *
   * @throws SluiceError naming missing, unexpected and misshapen entries; nothing is changed then
   */
  loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    assignAll('loadStateDict', this.namedTensors(), state)
  }

  /** Frees all tensors of the module, with their gradients. */
  dispose(): void {
    for (const t of this.namedTensors().values()) t.dispose()
  }
}

function collect(value: unknown, path: string, found: Map<string, Tensor>, seen: Set<unknown>): void {
  if (value === null || typeof value !== 'object' || seen.has(value)) return
  seen.add(value)
  if (isTensor(value)) {
    found.set(path, value)
    return
  }
  if (!(value instanceof Module || Array.isArray(value) || isRecord(value))) return
  for (const [key, item] of Object.entries(value)) collect(item, path ? `${path}.${key}` : key, found, seen)
}

function isRecord(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
