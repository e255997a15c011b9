/** Both runs in numbers: as they are now, and at every held-out loss. */
import { formatCompact, formatInteger } from '../../../../src/train/report/format.ts'
import type { View } from '../view.ts'
import { armNames, arms, shown, shownShare } from '../words.ts'
import { ArmTable, both, LongTable, type Row } from './tables.tsx'

interface Props {
  readonly view: View
}

function rowsOf({ started, histories }: View): Row[] {
  const measured = (arm: 0 | 1) => histories[arm].measured.at(-1)
  const found = (arm: 0 | 1, key: string): number | undefined => measured(arm)?.found?.[key]
  const report = (arm: 0 | 1) => started!.arms[arm]
  return [
    ['Parameters', both((arm) => formatInteger(report(arm).parameters))],
    ['Step', both((arm) => formatInteger(histories[arm].last?.step ?? report(arm).step))],
    ['Training loss, smoothed', both((arm) => shown(histories[arm].loss))],
    ['Held-out loss', both((arm) => shown(measured(arm)?.heldOutLoss))],
    ['Held-out accuracy', both((arm) => shownShare(measured(arm)?.heldOutAccuracy))],
    ['Attention on the first token', both((arm) => shownShare(found(arm, 'firstToken')))],
    ['… if it were spread evenly', both((arm) => shownShare(found(arm, 'firstTokenUniform')))],
    ['Mean gate score', both((arm) => shown(found(arm, 'gate'), 2))],
    ['Largest activation', both((arm) => largest(found(arm, 'largestActivation')))],
    ['Norm of the gradient', both((arm) => shown(histories[arm].last?.norm, 2))],
  ]
}

const largest = (value: number | undefined): string => (value === undefined ? '–' : formatCompact(value))

export function Numbers({ view }: Props) {
  if (!view.started) return null
  return (
    <section class="panel" aria-labelledby="numbers-title">
      <h3 id="numbers-title">In numbers</h3>
      <ArmTable rows={rowsOf(view)} />
      <LogTable view={view} />
    </section>
  )
}

/** The curves as a table. */
function LogTable({ view }: Props) {
  const [a, b] = view.histories
  const steps = [...new Set([...a.measured, ...b.measured].map(({ step }) => step))].sort((x, y) => y - x)
  const at = (arm: 0 | 1, step: number) => view.histories[arm].measured.find((entry) => entry.step === step)
  return (
    <LongTable
      summary="The curves as a table"
      label="The curves as a table"
      table={() => (
        <table>
          <thead>
            <tr>
              <th scope="col">Step</th>
              {arms.map((arm) => (
                <th key={arm} scope="col" class={`arm-${arm}`}>
                  Loss {armNames[arm]}
                </th>
              ))}
              {arms.map((arm) => (
                <th key={arm} scope="col" class={`arm-${arm}`}>
                  First token {armNames[arm]}
                </th>
              ))}
              {arms.map((arm) => (
                <th key={arm} scope="col" class={`arm-${arm}`}>
                  Largest {armNames[arm]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {steps.map((step) => (
              <tr key={step}>
                <th scope="row">{step}</th>
                {arms.map((arm) => (
                  <td key={arm}>{shown(at(arm, step)?.heldOutLoss)}</td>
                ))}
                {arms.map((arm) => (
                  <td key={arm}>{shownShare(at(arm, step)?.found?.firstToken)}</td>
                ))}
                {arms.map((arm) => (
                  <td key={arm}>{largest(at(arm, step)?.found?.largestActivation)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    />
  )
}
