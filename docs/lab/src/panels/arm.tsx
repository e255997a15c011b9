/** One run's column: what it is, its maps or its memory, its gate over the text, and how its scores lie. */
import { useMemo } from 'preact/hooks'
import type { Controller } from '../controller.ts'
import type { Arm, Both } from '../protocol.ts'
import { followed, readsText, type View } from '../view.ts'
import { armNames, describe, shown, shownShare, shownToken } from '../words.ts'
import { Histogram } from './histogram.tsx'
import { Maps } from './maps.tsx'
import { Memory } from './memory.tsx'
import { Strips } from './strips.tsx'

export interface Scales {
  /** Of both runs' histograms. */
  readonly share: number
  /** Of both runs' memories. */
  readonly memory: number
}

interface Props {
  readonly arm: Arm
  readonly view: View
  readonly controller: Controller
  readonly scales: Scales
}

/** A file may hold another run than the settings say. */
function title({ state, started, opened }: View, arm: Arm): string {
  const name = opened[arm]
  return name === undefined ? describe(state.arms[arm]) : `${name}, ${started?.arms[arm].gate ?? 'no gate'}`
}

export function ArmHead({ arm, view }: Pick<Props, 'arm' | 'view'>) {
  const { histories, started } = view
  const found = histories[arm].measured.at(-1)?.found
  const attends = started?.arms[arm].layerTypes.includes('attention') ?? true
  return (
    <header class={`arm-head arm-${arm}`}>
      <h2>
        <span class="badge">{armNames[arm]}</span> {title(view, arm)}
      </h2>
      <dl>
        <div>
          <dt>loss</dt>
          <dd>{shown(histories[arm].loss, 2)}</dd>
        </div>
        {attends && (
          <div>
            <dt>attention on the first token</dt>
            <dd>{shownShare(found?.firstToken)}</dd>
          </div>
        )}
        {found?.gate !== undefined && (
          <div>
            <dt>mean gate score</dt>
            <dd>{shown(found.gate, 2)}</dd>
          </div>
        )}
      </dl>
    </header>
  )
}

export function ArmMaps({ arm, view, controller, scales }: Props) {
  const armLook = view.look?.arms[arm]
  if (!armLook || !view.started) return <p class="empty">The maps come with the first look at the models.</p>
  if (armLook.state) {
    return (
      <Memory
        arm={arm}
        layer={armLook.layer}
        state={armLook.state}
        greatest={scales.memory}
        say={(spoken) => controller.point(view.cell, spoken)}
      />
    )
  }
  return <Maps arm={arm} armLook={armLook} view={view} controller={controller} />
}

export function ArmScores({ arm, view, controller, scales }: Props) {
  const { look, started } = view
  const labels = useMemo(
    () => (look && started ? [...look.tokens].map((token) => shownToken(started.labels[token]!)) : []),
    [look, started],
  )
  if (!look || !started) return null
  const { gate, histogram, state, layer } = look.arms[arm]
  if (!gate && !state) return null
  const strips: Both<Float32Array | undefined> | undefined = state && [state.beta, state.decay]
  const common = {
    labels,
    isText: readsText(view),
    at: followed(view),
    follow: (position: number) => controller.follow(position),
  }
  return (
    <section class={`scores arm-${arm}`} aria-label={`Scores of run ${armNames[arm]}`}>
      <h3>
        <span class="badge">{armNames[arm]}</span> {state ? 'Memory' : 'Gate'}, layer {layer}
      </h3>
      {gate && <Strips title="Score over the text" scores={gate} {...common} />}
      {histogram && <Histogram title="How the scores lie" counts={histogram} top={scales.share} />}
      {strips?.[0] && <Strips title="Share written, over the text" scores={strips[0]} {...common} />}
      {strips?.[1] && <Strips title="Share of the memory kept, over the text" scores={strips[1]} {...common} />}
    </section>
  )
}
