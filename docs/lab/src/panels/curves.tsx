/** Three charts: the loss, the attention on the first token, the largest activation; both runs in each. */
import { formatCompact } from '../../../../src/train/report/format.ts'
import type { History } from '../history.ts'
import type { View } from '../view.ts'
import { shown, shownShare } from '../words.ts'
import { Chart, type Curve } from './chart.tsx'

interface Props {
  readonly view: View
}

const colours = ['--arm-0', '--arm-1'] as const

function measured(history: History, title: string, colour: Curve['colour'], key: string): Curve {
  const entries = history.measured.filter(({ found }) => found?.[key] !== undefined)
  return {
    title,
    colour,
    steps: entries.map(({ step }) => step),
    values: entries.map(({ found }) => found![key]),
  }
}

const last = ({ values }: Curve): number | undefined => values.at(-1)

export function Curves({ view }: Props) {
  const [a, b] = view.histories
  const losses: Curve[] = [
    { title: 'A, each step', colour: colours[0], style: 'faint', steps: a.steps, values: a.losses },
    { title: 'B, each step', colour: colours[1], style: 'faint', steps: b.steps, values: b.losses },
    { title: 'A', colour: colours[0], steps: a.steps, values: a.smooth },
    { title: 'B', colour: colours[1], steps: b.steps, values: b.smooth },
  ]
  const firstToken: Curve[] = [
    measured(a, 'A', colours[0], 'firstToken'),
    measured(b, 'B', colours[1], 'firstToken'),
    { ...measured(uniformOf(a, b), 'even', '--muted', 'firstTokenUniform'), style: 'dashed' },
  ]
  const largest: Curve[] = [
    measured(a, 'A', colours[0], 'largestActivation'),
    measured(b, 'B', colours[1], 'largestActivation'),
  ]
  return (
    <section class="curves" aria-label="Curves">
      <Chart
        title="Loss"
        summary={`Training loss, smoothed: A ${shown(a.loss)}, B ${shown(b.loss)}. The table below has the held-out losses.`}
        curves={losses}
        isDense
        format={twoDecimals}
      />
      <Chart
        title="First-token attention"
        summary={`Attention on the first token: A ${shownShare(last(firstToken[0]!))}, B ${shownShare(last(firstToken[1]!))}; spread evenly it were ${shownShare(last(firstToken[2]!))}.`}
        curves={firstToken}
        format={wholePercent}
      />
      <Chart
        title="Largest activation"
        summary={`Largest activation: A ${shown(last(largest[0]!), 1)}, B ${shown(last(largest[1]!), 1)}.`}
        curves={largest}
        format={formatCompact}
      />
    </section>
  )
}

const twoDecimals = (value: number): string => shown(value, 2)
const wholePercent = (value: number): string => `${shown(100 * value, 0)}%`

/** The arm that has attention, and so a share that an even spread would give. */
function uniformOf(a: History, b: History): History {
  return a.measured.some(({ found }) => found?.firstTokenUniform !== undefined) ? a : b
}
