/** Comma-separated tables read back. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SluiceError } from '../../../src/errors.ts'
import { studyTables } from '../../../src/lab/study-report/tables.ts'
import { made, seeds, study } from './small-study.ts'

/** RFC 4180, read character by character: rows of cells. */
function readCsv(text: string): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  let cell = ''
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!
    if (quoted) {
      if (character !== '"') cell += character
      else if (text[at + 1] === '"') cell += text[at++]
      else quoted = false
    } else if (character === '"') quoted = true
    else if (character === ',') {
      row.push(cell)
      cell = ''
    } else if (character === '\r' && text[at + 1] === '\n') {
      rows.push([...row, cell])
      row = []
      cell = ''
      at++
    } else cell += character
  }
  expect([quoted, row, cell]).toEqual([false, [], ''])
  return rows
}

/** A table as records by column. */
function records(text: string): Record<string, string>[] {
  const [columns, ...rows] = readCsv(text)
  for (const row of rows) expect(row.length).toBe(columns!.length)
  return rows.map((row) => Object.fromEntries(columns!.map((column, index) => [column, row[index]!])))
}

describe('studyTables', () => {
  it('has one row a run, with its numbers in full', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', "'", ' ') }),
        fc.double({ min: 0, max: 20, noNaN: true }),
        (variant, loss) => {
          const data = study([made({ job: { variant }, loss })])
          const [run, ...others] = records(studyTables(data).runs!)
          expect(others).toEqual([])
          expect(run!.variant).toBe(variant)
          expect(Number(run!.loss)).toBe(loss)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('leaves cells empty where nothing was measured or nothing is finite', () => {
    const lost = made({ loss: null, changes: { measures: null } })
    const data = study([lost, made({ job: { seed: 2 }, activation: Number.POSITIVE_INFINITY })])
    const [first, second] = records(studyTables(data).runs!)
    expect([first!.loss, first!.divergedAt, first!.firstTokenCorrected, first!.gateMean]).toEqual(['', '40', '', ''])
    expect([second!.loss, second!.divergedAt, second!.massiveActivation]).toEqual(['2', '', ''])
  })

  it('gives the variants\u2019 means, intervals and differences', () => {
    const base = seeds([2, 2.5, 3], (loss) => ({ loss }))
    const gated = seeds([1.98, 2.48, 2.98], (loss) => ({ loss, gate: 0.2, job: { variant: 'g1-headwise' } }))
    const [baseline, headwise] = records(studyTables(study([...gated, ...base])).variants!)
    expect([baseline!.variant, headwise!.variant]).toEqual(['baseline', 'g1-headwise'])
    expect([baseline!.lossDifference, baseline!.gateScore]).toEqual(['', ''])
    expect([headwise!.seeds, headwise!.pairs]).toEqual(['3', '3'])
    expect(Number(headwise!.lossDifference)).toBeCloseTo(-0.02, 12)
    // t at 2 degrees of freedom is 4.303; the deviation over seeds is 0.5: 4.303 x 0.5 / sqrt 3 = 1.2421.
    expect(Number(baseline!['loss high'])).toBeCloseTo(2.5 + 1.2421, 3)
    expect(Number(headwise!.gateScore)).toBeCloseTo(0.2, 12)
  })

  it('has a row for each layer and head, bin, length and step', () => {
    const length = [
      { length: 8, loss: 2, rescaled: 2 },
      { length: 16, loss: 2.5, rescaled: 2.25 },
    ]
    const tables = studyTables(study([made({ gate: 0.2, job: { steps: 5 }, changes: { length } })]))
    expect(records(tables.layers!).map(({ layer, head, firstToken }) => [layer, head, firstToken])).toEqual([
      ['0', '0', '0.3'],
      ['0', '1', '0.3'],
      ['1', '0', '0.3'],
      ['1', '1', '0.3'],
    ])
    expect(records(tables.gates!).map(({ layer, from, to, count }) => [layer, from, to, count])[5]).toEqual([
      '1',
      '0.25',
      '0.5',
      '10',
    ])
    expect(records(tables.length!).map((row) => [row.length, row.loss, row.rescaled])).toEqual([
      ['8', '2', '2'],
      ['16', '2.5', '2.25'],
    ])
    expect(records(tables.training!).length).toBe(5)
    expect(records(tables.progress!).map((row) => [row.step, row.heldOutLoss, row.firstTokenCorrected])).toEqual([
      ['0', '', '0'],
      ['5', '2', '0.3'],
    ])
    expect(records(tables.claims!).length).toBeGreaterThan(10)
  })

  it('leaves out tables without rows', () => {
    const bare = made({ changes: { measures: null, curve: { step: [], loss: [], heldOut: [], firstToken: [] } } })
    expect(Object.keys(studyTables(study([bare])))).toEqual(['runs', 'variants', 'claims'])
  })

  it('refuses what cannot be told apart', () => {
    expect(() => studyTables(study([made({}), made({})]))).toThrow(SluiceError)
  })
})
