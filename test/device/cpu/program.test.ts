/** Who does the steps of a program, and where the threads meet. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WasmModule } from '../../../kernels/tuned/wasm/assembler.ts'
import { arrange, type Extent, type Step, worthThreads } from '../../../kernels/tuned/wasm/program.ts'
import { task, withRange } from '../../../kernels/tuned/wasm/task.ts'

const callee = new WasmModule().function('nothing', withRange, () => {})

const extent = fc
  .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 1, max: 3 }))
  .map(([from, n]): Extent => [from, from + n])
const extents = fc.array(extent, { maxLength: 3 })

const step = fc
  .record({
    kind: fc.constantFrom('all', 'one', 'host'),
    reads: extents,
    writes: fc.array(extent, { minLength: 1, maxLength: 2 }),
    launch: fc.integer({ min: 0, max: 3 }),
    isIndependent: fc.boolean(),
  })
  .map(({ kind, reads, writes, launch, isIndependent }): Step => {
    const options = { items: kind === 'all' ? 8 : 1, cost: worthThreads, isIndependent }
    const does = kind === 'host' ? { host: () => {} } : { task: task(callee, {}, options) }
    return { does, reads, writes, launch }
  })

const touches = (a: readonly Extent[], b: readonly Extent[]) =>
  a.some(([from, to]) => b.some(([start, end]) => Math.max(from, start) < Math.min(to, end)))

describe('arrange', () => {
  test('has the threads meet between two steps that touch the same memory, unless one thread does both', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const arranged = arrange(steps)
        expect(arranged.map(({ does }) => does)).toEqual(steps.map(({ does }) => does))
        arranged.forEach((then, j) => {
          for (let i = 0; i < j; i++) {
            const first = arranged[i]
            const isFree = first.launch === then.launch && 'task' in then.does && then.does.task.isIndependent
            const conflict =
              touches(first.writes, then.writes) ||
              touches(first.writes, then.reads) ||
              touches(first.reads, then.writes)
            if (isFree || !conflict) continue
            const meets = arranged.slice(i + 1, j + 1).some(({ waits }) => waits)
            expect(meets || (first.doer !== 'all' && first.doer === then.doer)).toBe(true)
          }
        })
      }),
      { numRuns: 1000 },
    )
  })

  test('has nobody meet for steps that have nothing to do with each other', () => {
    const apart = Array.from({ length: 5 }, (_, i): Step => {
      return { does: { task: task(callee, {}, { cost: 1 }) }, reads: [], writes: [[i, i + 1]], launch: i }
    })
    expect(arrange(apart).map(({ doer, waits }) => [doer, waits])).toEqual([0, 1, 2, 3, 4].map((i) => [i, false]))
  })

  test('keeps what JavaScript does on the main thread', () => {
    const host: Step = { does: { host: () => {} }, reads: [], writes: [[0, 4]], launch: 0 }
    const after: Step = { does: { task: task(callee, {}, { cost: 1 }) }, reads: [[0, 4]], writes: [[4, 8]], launch: 1 }
    expect(arrange([host, after]).map(({ doer, waits }) => [doer, waits])).toEqual([
      [0, false],
      [0, false],
    ])
  })
})
