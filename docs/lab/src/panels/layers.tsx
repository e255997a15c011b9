/** Which layer is looked at; beside each one what its heads give the first token in both runs. */
import { useId } from 'preact/hooks'
import type { Controller } from '../controller.ts'
import type { LayerSummary } from '../protocol.ts'
import type { View } from '../view.ts'
import { armNames, arms, shownShare } from '../words.ts'

interface Props {
  readonly view: View
  readonly controller: Controller
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

const told = (summary: LayerSummary | undefined): string =>
  summary === undefined ? '–' : summary.firstToken ? shownShare(mean(summary.firstToken)) : 'delta'

export function Layers({ view, controller }: Props) {
  const { look } = view
  const id = useId()
  const count = Math.max(1, ...(look?.arms.map(({ layers }) => layers.length) ?? []))
  const chosen = Math.min(view.state.layer, count - 1)
  return (
    <fieldset class="layers">
      <legend>Layer, and its attention on the first token</legend>
      {Array.from({ length: count }, (_, layer) => (
        <label key={layer} class={layer === chosen ? 'chosen' : ''}>
          <input type="radio" name={id} checked={layer === chosen} onChange={() => controller.change({ layer })} />
          <b>{layer}</b>
          {arms.map((arm) => (
            <span key={arm} class={`arm-${arm}`}>
              {armNames[arm]} {told(look?.arms[arm].layers[layer])}
            </span>
          ))}
        </label>
      ))}
    </fieldset>
  )
}
