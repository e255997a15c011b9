/** The suites that records generate: one test for each operation and kind of check, replaying old failures first. */
import { describe, expect, it } from 'vitest'
import { type CheckKind, type Failure, searchKind } from '../../src/check/index.ts'
import { type OpRecord, operations } from '../../src/index.ts'
import { regressions } from '../check/regressions.ts'
import { RUNS, SEED } from '../check/runs.ts'

/** Families with a file of their own; what is in none is tested with the products. */
export const families = {
  elementwise:
    /^(add|sub|mul|div|maximum|minimum|where|clamp|neg|square|reciprocal|abs|sqrt|rsqrt|exp|log|sin|cos|pow|erf|relu|softplus|tanh|sigmoid|silu|gelu)(ExponentGradient|Gradient)?$/,
  sequence: /attention|delta|gate|rope|rotate|conv|dropout/i,
} as const

export type Family = keyof typeof families | 'other'

export function familyOf({ name }: OpRecord): Family {
  if (families.elementwise.test(name)) return 'elementwise'
  return families.sequence.test(name) ? 'sequence' : 'other'
}

const told = (failure: Failure | null) =>
  failure && `${failure.message}\n${failure.call}\n{ seed: ${failure.seed}, path: '${failure.path}' }`

/** Runs one kind of check of one operation, and expects no failure; gives the number of cases. */
export async function expectKind(record: OpRecord, kind: CheckKind): Promise<number> {
  for (const { op, kind: of, seed, path } of regressions) {
    if (op !== record.name || of !== kind) continue
    const { failure } = await searchKind(record, kind, { numRuns: RUNS, seed, path })
    expect(told(failure), 'a failure of old').toBeNull()
  }
  const { cases, failure } = await searchKind(record, kind, { numRuns: RUNS, seed: SEED })
  expect(told(failure)).toBeNull()
  return cases
}

/** Samples broadcast about as often as not. */
const broadcasting =
  /^(add|sub|mul|div|pow|maximum|minimum|where|powExponentGradient|(tanh|sigmoid|silu|gelu)Gradient|expand|applyGate)$/

/** The gradient properties of every operation of a family. */
export function gradientSuite(family: Family): void {
  for (const record of operations.values()) {
    if (familyOf(record) !== family) continue
    describe(record.name, () => {
      if (!record.differentiable) {
        it('has no gradient and records nothing', async () => {
          expect(await expectKind(record, 'no gradient')).toBe(RUNS)
        })
        return
      }
      it('has the gradient that finite differences measure', async () => {
        expect(await expectKind(record, 'gradient')).toBe(RUNS)
      })
      it('has the second-order gradient that they measure', async () => {
        expect(await expectKind(record, 'second order')).toBe(RUNS)
      })
      it('has a gradient that is linear in the cotangent', async () => {
        expect(await expectKind(record, 'linearity')).toBe(RUNS)
      })
      it('sums its gradient where an operand repeats', async () => {
        const cases = await expectKind(record, 'broadcast')
        if (broadcasting.test(record.name)) expect(cases).toBeGreaterThan(RUNS / 8)
      })
    })
  }
}
