/** A study as tables of comma-separated values (RFC 4180): one row a run, and what the report's figures are drawn from. */
import { claims } from '../claims.ts'
import {
  activationMeasure,
  armsOf,
  differenceOf,
  gateMeasure,
  lossOf,
  runsOf,
  type Spread,
  sinkMeasure,
  spreadOf,
} from './arms.ts'
import { baselineName, checkStudyData, type StudyData, type StudyRun } from './data.ts'
import { paperOf, titleOf } from './paper.ts'

type Cell = string | number | null | undefined
type Row = Record<string, Cell>

/**
 * Every table by its name, without the ending `.csv`; a table without rows is left out.
 *
 * A cell is empty where a quantity was not measured or is not finite. Losses are in nats.
 *
 * @throws SluiceError for the same data as `renderStudy`
 *
 * @example
 * for (const [name, text] of Object.entries(studyTables(study))) writeFileSync(`${name}.csv`, text)
 */
export function studyTables(data: StudyData): Record<string, string> {
  checkStudyData(data)
  const tables: Record<string, Row[]> = {
    runs: data.runs.map(runRow),
    variants: variantRows(data),
    claims: claims(data).map(({ id, claim, paper, here, verdict, rule }) => ({
      id,
      claim,
      paper,
      here,
      verdict,
      rule,
    })),
    layers: data.runs.flatMap(layerRows),
    gates: data.runs.flatMap(gateRows),
    length: data.runs.flatMap((run) => (run.length ?? []).map((at) => ({ ...jobCells(run), ...at }))),
    training: data.runs.flatMap((run) =>
      run.curve.step.map((step, index) => ({ run: run.name, step, loss: run.curve.loss[index] })),
    ),
    progress: data.runs.flatMap(progressRows),
  }
  const filled = Object.entries(tables).filter(([, rows]) => rows.length > 0)
  return Object.fromEntries(filled.map(([name, rows]) => [name, csv(rows)]))
}

/** The columns are those of all rows, in the order in which they come. */
function csv(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))]
  return `${lines.map((cells) => cells.map(field).join(',')).join('\r\n')}\r\n`
}

function field(cell: Cell): string {
  if (cell === null || cell === undefined) return ''
  if (typeof cell === 'number') return Number.isFinite(cell) ? String(cell) : ''
  return /[",\r\n]/.test(cell) ? `"${cell.replace(/"/g, '""')}"` : cell
}

function jobCells({ name, job }: StudyRun): Row {
  const { group, variant, seed, learningRate, size, steps } = job
  return { run: name, group, variant, seed, learningRate, size, steps }
}

const prefixed = (prefix: string, values: Record<string, Cell> | null | undefined): Row =>
  Object.fromEntries(Object.entries(values ?? {}).map(([key, value]) => [`${prefix}${key}`, value]))

function runRow(run: StudyRun): Row {
  // Not the time: shards that ran elsewhere give the tables of one run, to the digit.
  const { parameters, tokens, diverged, loss, spikes, measures, inContext } = run
  const { firstToken, sinkRate, massiveActivation, gate, attentionOutput, clamp } = measures ?? {}
  return {
    ...jobCells(run),
    parameters,
    tokens,
    divergedAt: diverged?.step,
    divergedBecause: diverged?.reason,
    loss,
    firstToken: firstToken?.mean,
    firstTokenCorrected: firstToken?.corrected,
    firstTokenWithoutFirstFour: firstToken?.withoutFirstFour,
    firstTokenWithoutFirstFourCorrected: firstToken?.withoutFirstFourCorrected,
    firstTokenUniform: firstToken?.uniform,
    sinkRateOfFirst: sinkRate?.ofFirst,
    sinkRateOfAny: sinkRate?.any,
    massiveActivation: massiveActivation?.mean,
    gateMean: gate?.mean,
    gateMedian: gate?.median,
    gateShareBelowTenth: gate?.shareBelowTenth,
    gateShareAboveNineTenths: gate?.shareAboveNineTenths,
    outputBefore: attentionOutput?.before,
    outputAfter: attentionOutput?.after,
    ...prefixed('outputBelow before ', attentionOutput?.sparsityBefore),
    ...prefixed('outputBelow after ', attentionOutput?.sparsityAfter),
    ...prefixed('outputBelow meanGate ', attentionOutput?.sparsityMeanGate),
    ...prefixed('clamp ', clamp),
    ...prefixed('spikeRate ', spikes.rate),
    ...prefixed('spikeCount ', spikes.count),
    spikeMaximum: spikes.maximum,
    earlyLoss: inContext?.early,
    lateLoss: inContext?.late,
    prefixMatching: inContext?.prefixMatching,
  }
}

const spreadCells = (name: string, spread: Spread | undefined): Row => ({
  [name]: spread?.mean,
  [`${name} low`]: spread?.low,
  [`${name} high`]: spread?.high,
})

/** The report's table of variants. */
function variantRows(data: StudyData): Row[] {
  const arms = armsOf(runsOf(data, 'main'))
  const baseline = arms.find(({ variant }) => variant === baselineName)?.runs ?? []
  return arms.map(({ variant, runs }) => {
    const paper = paperOf(variant)
    const difference = variant === baselineName ? undefined : differenceOf(runs, baseline, lossOf)
    return {
      variant,
      title: titleOf(variant),
      parameters: runs[0]!.parameters,
      seeds: runs.length,
      diverged: runs.filter((run) => run.diverged).length,
      ...spreadCells('loss', spreadOf(runs, lossOf)),
      ...spreadCells('lossDifference', difference),
      pairs: difference?.values.length,
      paperLossDifference: paper.lossDifference,
      ...spreadCells('firstTokenCorrected', spreadOf(runs, sinkMeasure)),
      paperFirstToken: paper.firstToken,
      ...spreadCells('massiveActivation', spreadOf(runs, activationMeasure)),
      paperMassiveActivation: paper.massiveActivation,
      ...spreadCells('gateScore', spreadOf(runs, gateMeasure)),
      paperGateScore: paper.gateScore,
    }
  })
}

/** One row for each layer and head; layers without attention have one row without a head. */
function layerRows(run: StudyRun): Row[] {
  const { measures } = run
  if (!measures) return []
  const { perLayer, perLayerMedian } = measures.massiveActivation
  return perLayer.flatMap((largest, layer): Row[] => {
    const heads = measures.firstToken?.perLayerHead[layer] ?? []
    const cells = { ...jobCells(run), layer, largestActivation: largest, medianActivation: perLayerMedian[layer] }
    if (heads.length === 0) return [{ ...cells, head: null, firstToken: null }]
    return heads.map((firstToken, head) => ({ ...cells, head, firstToken }))
  })
}

/** One row for each bin of each layer's histogram. */
function gateRows(run: StudyRun): Row[] {
  return (run.measures?.gate?.layers ?? []).flatMap(({ layer, counts, mean, deviation }) =>
    counts.map((count, bin) => ({
      ...jobCells(run),
      layer,
      mean,
      deviation,
      from: bin / counts.length,
      to: (bin + 1) / counts.length,
      count,
    })),
  )
}

/** Held-out loss and attention on the first token during training. */
function progressRows({ name, curve }: StudyRun): Row[] {
  const rows = new Map<number, Row>()
  const at = (step: number) => {
    const row = rows.get(step) ?? { run: name, step, heldOutLoss: null, firstToken: null, firstTokenCorrected: null }
    rows.set(step, row)
    return row
  }
  for (const { step, loss } of curve.heldOut) at(step).heldOutLoss = loss
  for (const { step, mean, corrected } of curve.firstToken) {
    Object.assign(at(step), { firstToken: mean, firstTokenCorrected: corrected })
  }
  return [...rows.values()].sort((a, b) => Number(a.step) - Number(b.step))
}
