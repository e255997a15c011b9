/** What `npm run trust` takes for lost where something is missing: other bits, numbers outside the bounds, more than a sentence. */
import { describe, expect, test } from 'vitest'
import type { Ended } from '../../bench/trust/child.ts'
import { boundsOf, Judge, sentenceFault, type Trained } from '../../bench/trust/environments/judge.ts'

const bounds = boundsOf([{ model: [4, 2] }, { model: [4.5, 2.25] }, { model: [3.75, 2] }])

const trained = (eager: number[], simd = 'plain', changes: object = {}): Trained => ({
  losses: { model: { eager, captured: eager, read: eager.at(-1)!, ...changes } },
  ...{ simd, threads: 2, ready: 2 },
})

describe('losses', () => {
  test('are right within twice the farthest draw and the rounding of the loss', () => {
    expect(bounds.model.map(({ bound }) => bound)).toEqual([1 + 2 ** -22, 0.5 + 2 ** -23])
    expect(new Judge(bounds).numbers(trained([4.5, 2]))).toEqual({ fault: undefined, used: 0.5 / (1 + 2 ** -22) })
    expect(new Judge(bounds).numbers(trained([4, 2.51])).fault).toContain('loss 1 is 2.51, exactly 2')
    expect(new Judge(bounds).numbers(trained([Number.NaN, 2])).fault).toContain('loss 0 is NaN')
  })

  test('are the same bits with the same kernels, and need not be with others', () => {
    const judge = new Judge(bounds)
    expect(judge.numbers(trained([4, 2])).fault).toBeUndefined()
    expect(judge.numbers(trained([4, 2 + 2 ** -22], 'wide')).fault).toBeUndefined()
    expect(judge.numbers(trained([4, 2 + 2 ** -22])).fault).toContain(
      'other bits than the first run with plain kernels',
    )
  })

  test('are the same captured, and read', () => {
    expect(new Judge(bounds).numbers(trained([4, 2], 'plain', { captured: [4, 2.25], read: 2.25 })).fault).toContain(
      'captured 4,2.25, eager 4,2',
    )
    expect(new Judge(bounds).numbers(trained([4, 2], 'plain', { read: 4 })).fault).toContain('read 4, written 2')
  })
})

describe('a sentence', () => {
  const ended: Ended = { code: 1, signal: null, output: '', errors: 'cpu device: nothing here\n', hung: false }
  test('is one line, beside those that a runtime writes of its own', () => {
    expect(sentenceFault(ended, /^cpu device: /)).toBeUndefined()
    const warned = `(node:12) ExperimentalWarning: Permission\n(Use \`node --trace-warnings\` to show)\n${ended.errors}`
    expect(sentenceFault({ ...ended, errors: warned }, /^cpu device: /)).toBeUndefined()
  })

  test('is lost in a stack, with another status, beside a result, and killed', () => {
    const changes: Partial<Ended>[] = [
      { errors: `${ended.errors}    at new Arena (arena.js:25)\n` },
      { errors: 'ReferenceError: WebAssembly is not defined\n' },
      { errors: '' },
      { code: 0 },
      { code: null, signal: 'SIGKILL' },
      { output: '{}' },
    ]
    for (const change of changes) {
      expect(sentenceFault({ ...ended, ...change }, /^cpu device: /)).toBeDefined()
    }
  })
})
