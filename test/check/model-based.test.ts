/**
 * Lifetimes against a model: random runs of making, computing, viewing, differentiating, disposing and scoping.
 *
 * The model knows which tensors must be alive. After each command every tensor is asked, and the device must hold exactly
 * the buffers of those that live, with their gradients: no buffer too many, none too few.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { checkLeaks, SluiceError, scope, type Tensor, tensor } from '../../src/index.ts'
import { RUNS, SEED } from './runs.ts'

interface Handle {
  /** Held so that no tensor is collected while the model still counts it. */
  readonly real: Tensor
  readonly inputs: readonly Handle[]
  alive: boolean
  tracked: boolean
}

interface Model {
  readonly handles: Handle[]
  /** What each open scope owns, innermost last; the first is the program. */
  readonly owners: Set<Handle>[]
}

const cpu = findDevice('cpu')

interface Real {
  readonly before: { buffers: number; bytes: number }
}

const living = (model: Model): Handle[] => model.handles.filter(({ alive }) => alive)

function add(model: Model, real: Tensor, inputs: Handle[], tracked: boolean): void {
  // What does not record has no history: should it be made a parameter later, it is a leaf.
  const handle = { real, inputs: tracked ? inputs : [], alive: true, tracked }
  model.handles.push(handle)
  model.owners.at(-1)!.add(handle)
}

function kill(model: Model, handle: Handle): void {
  handle.alive = false
  for (const owned of model.owners) owned.delete(handle)
}

function expectAgreement(model: Model, { before }: Real): void {
  const storages = new Set<Tensor['storage']>()
  for (const { real, alive, tracked } of model.handles) {
    expect(real.isDisposed).toBe(!alive)
    if (!alive) continue
    expect(real.isTracked).toBe(tracked)
    storages.add(real.storage)
    if (real.grad) storages.add(real.grad.storage)
  }
  const { buffers, bytes } = cpu.statistics()
  expect(buffers - before.buffers).toBe(storages.size)
  expect(bytes - before.bytes).toBe([...storages].reduce((n, { buffer }) => n + 4 * buffer.length, 0))
}

/** Whether any tensor behind `handle` is gone; a gradient through it may be refused then. */
function isBroken(handle: Handle, seen = new Set<Handle>()): boolean {
  if (seen.has(handle)) return false
  seen.add(handle)
  return !handle.alive || handle.inputs.some((input) => isBroken(input, seen))
}

/** The leaves that gradients of `handle` reach. */
function leavesOf(handle: Handle, found = new Set<Handle>()): Set<Handle> {
  if (!handle.tracked) return found
  if (handle.inputs.length === 0) found.add(handle)
  for (const input of handle.inputs) leavesOf(input, found)
  return found
}

abstract class OnHandle implements fc.Command<Model, Real> {
  readonly place: number
  constructor(place: number) {
    this.place = place
  }
  candidates(model: Model): Handle[] {
    return living(model)
  }
  check(model: Readonly<Model>): boolean {
    return this.candidates(model).length > 0
  }
  run(model: Model, real: Real): void {
    const handles = this.candidates(model)
    this.act(model, handles[this.place % handles.length])
    expectAgreement(model, real)
  }
  abstract act(model: Model, handle: Handle): void
  toString(): string {
    return `${this.constructor.name}(${this.place})`
  }
}

class Create implements fc.Command<Model, Real> {
  readonly requiresGrad: boolean
  constructor(requiresGrad: boolean) {
    this.requiresGrad = requiresGrad
  }
  check(): boolean {
    return true
  }
  run(model: Model, real: Real): void {
    add(model, tensor([1, 2, 3, 4, 5, 6], { device: 'cpu', requiresGrad: this.requiresGrad }), [], this.requiresGrad)
    expectAgreement(model, real)
  }
  toString(): string {
    return `Create(${this.requiresGrad})`
  }
}

class Unary extends OnHandle {
  act(model: Model, handle: Handle): void {
    add(model, handle.real.sigmoid(), [handle], handle.tracked)
  }
}

class Binary extends OnHandle {
  readonly other: number
  readonly op: 'add' | 'mul'
  constructor(place: number, other: number, op: 'add' | 'mul') {
    super(place)
    this.other = other
    this.op = op
  }
  act(model: Model, handle: Handle): void {
    const mates = living(model).filter(({ real }) => real.rank === handle.real.rank)
    const mate = mates[this.other % mates.length]
    add(model, handle.real[this.op](mate.real), [handle, mate], handle.tracked || mate.tracked)
  }
}

class Reshape extends OnHandle {
  act(model: Model, handle: Handle): void {
    add(model, handle.real.reshape(handle.real.rank === 1 ? [2, 3] : [6]), [handle], handle.tracked)
  }
}

class Detach extends OnHandle {
  act(model: Model, handle: Handle): void {
    add(model, handle.real.detach(), [], false)
  }
}

class RequireGrad extends OnHandle {
  override candidates(model: Model): Handle[] {
    return living(model).filter(({ real }) => real.node === null)
  }
  act(_model: Model, handle: Handle): void {
    handle.real.requiresGrad = true
    handle.tracked = true
  }
}

class Backward extends OnHandle {
  override candidates(model: Model): Handle[] {
    return living(model).filter(({ tracked }) => tracked)
  }
  act(_model: Model, handle: Handle): void {
    if (isBroken(handle)) {
      try {
        handle.real.backward(handle.real)
      } catch (error) {
        expect(error).toBeInstanceOf(SluiceError)
      }
      return
    }
    handle.real.backward(handle.real)
    for (const { real } of leavesOf(handle)) expect(real.grad?.shape).toEqual(real.shape)
  }
}

class Dispose extends OnHandle {
  act(model: Model, handle: Handle): void {
    handle.real.dispose()
    handle.real.dispose()
    kill(model, handle)
  }
}

class Scope implements fc.Command<Model, Real> {
  readonly body: fc.Command<Model, Real>[]
  /** Which of the tensors made inside are returned. */
  readonly kept: number[]
  readonly throws: boolean
  constructor(body: fc.Command<Model, Real>[], kept: number[], throws: boolean) {
    this.body = body
    this.kept = kept
    this.throws = throws
  }
  check(): boolean {
    return true
  }
  run(model: Model, real: Real): void {
    const owned = new Set<Handle>()
    let kept: Handle[] = []
    model.owners.push(owned)
    const fault = new Error('thrown inside a scope')
    const body = () => {
      for (const command of this.body) if (command.check(model)) command.run(model, real)
      if (this.throws) throw fault
      const made = [...owned]
      kept = made.length === 0 ? [] : [...new Set(this.kept.map((i) => made[i % made.length]))]
      // Lists, plain objects, maps and sets are all searched.
      const [first, second, ...rest] = kept.map((handle) => handle.real)
      return { list: [first], nested: { map: new Map([['second', second]]) }, set: new Set(rest) }
    }
    if (this.throws) expect(() => scope(body)).toThrow(fault)
    else scope(body)
    model.owners.pop()
    for (const handle of owned) {
      if (kept.includes(handle)) model.owners.at(-1)!.add(handle)
      else handle.alive = false
    }
    expectAgreement(model, real)
  }
  toString(): string {
    return `Scope([${this.body.join(', ')}], keep [${this.kept}]${this.throws ? ', throws' : ''})`
  }
}

const place = fc.nat(30)

const simple: fc.Arbitrary<fc.Command<Model, Real>>[] = [
  fc.boolean().map((requiresGrad) => new Create(requiresGrad)),
  place.map((i) => new Unary(i)),
  fc.tuple(place, place, fc.constantFrom('add' as const, 'mul' as const)).map(([i, j, op]) => new Binary(i, j, op)),
  place.map((i) => new Reshape(i)),
  place.map((i) => new Detach(i)),
  place.map((i) => new RequireGrad(i)),
  place.map((i) => new Backward(i)),
  place.map((i) => new Dispose(i)),
]

const { command } = fc.letrec<{ command: fc.Command<Model, Real>; scope: fc.Command<Model, Real> }>((tie) => ({
  command: fc.oneof({ maxDepth: 3, depthSize: 'small' }, ...simple, tie('scope')),
  scope: fc
    .tuple(fc.array(tie('command'), { minLength: 1, maxLength: 8 }), fc.array(place, { maxLength: 4 }), fc.nat(5))
    .map(([body, kept, dice]) => new Scope(body, kept, dice === 5)),
}))

/** Plain commands, and scopes often enough that most runs nest them. */
const commands = [...simple, command, command.map((inner) => new Scope([inner], [0], false))]

it('lifetimes follow the model, and at the end everything is released', () => {
  const runs = { scopes: 0, backward: 0 }
  fc.assert(
    fc.property(fc.commands(commands, { maxCommands: 60, size: 'max' }), (drawn) => {
      const { buffers, bytes } = cpu.statistics()
      const leaks = checkLeaks().length
      const model: Model = { handles: [], owners: [new Set()] }
      fc.modelRun(() => ({ model, real: { before: { buffers, bytes } } }), drawn)
      const text = String(drawn)
      if (text.includes('Scope')) runs.scopes++
      if (text.includes('Backward')) runs.backward++
      for (const handle of living(model)) handle.real.dispose()
      expect(cpu.statistics()).toEqual({ buffers, bytes })
      expect(checkLeaks().length).toBe(leaks)
    }),
    { numRuns: RUNS, seed: SEED },
  )
  // The runs are worth something only if they do these things.
  expect(runs.scopes).toBeGreaterThan(RUNS / 2)
  expect(runs.backward).toBeGreaterThan(RUNS / 2)
})
