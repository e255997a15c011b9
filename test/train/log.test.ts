/** Logs of runs, as anyone may have written them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { History } from '../../docs/lab/src/history.ts'
import { type LogEntry, logLines, logText } from '../../src/train/run.ts'

const entry = (step: number, more: Partial<LogEntry> = {}): LogEntry => ({
  ...{ step, loss: 2, learningRate: 0.1, norm: 1, seconds: step },
  ...more,
})

describe('the lines of a log', () => {
  it('are the entries that were written', () => {
    const entries = [entry(1), entry(2, { heldOutLoss: 2, heldOutAccuracy: 0.5, found: { gate: 0.2 } }), entry(5)]
    expect(logLines(logText(entries))).toEqual(entries)
    expect(logLines(logText(entries), 2)).toEqual(entries.slice(0, 2))
  })

  it.each([
    'null',
    '3',
    '[]',
    '{}',
    '{"step":0}',
    '{"step":"3","loss":2}',
    logText([entry(3, { heldOutLoss: '<' as never })]),
  ])('end before %s', (line) => {
    expect(logLines(`${logText([entry(1), entry(2)])}${line}\n${logText([entry(4)])}`)).toEqual([entry(1), entry(2)])
  })

  it('have rising steps, so that the lab can thin its curves', () => {
    const same = logText(Array.from({ length: 5000 }, () => entry(0)))
    const entries = logLines(same)
    expect(entries).toEqual([entry(0)])
    expect(new History(entries).steps).toEqual([0])
  })

  it('leave out what was found and is no number', () => {
    expect(logLines('{"step":1,"loss":2,"learningRate":0,"norm":1,"seconds":1,"found":{"a":null,"b":1}}')).toEqual([
      { step: 1, loss: 2, learningRate: 0, norm: 1, seconds: 1, found: { b: 1 } },
    ])
  })

  it('are read from any text', () => {
    const line = fc.oneof(
      fc.json(),
      fc.string(),
      fc.nat(9).map((step) => JSON.stringify(entry(step))),
    )
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const steps = logLines(lines.join('\n')).map(({ step }) => step)
        expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b))
      }),
    )
  })
})
