/** The attention maps of one arm, a head each: rows are queries, columns keys. */
import { useMemo } from 'preact/hooks'
import type { Controller } from '../controller.ts'
import { paintAttention } from '../paint.ts'
import type { Arm, ArmLook } from '../protocol.ts'
import { followed, type View } from '../view.ts'
import { armNames, shown, shownShare, shownToken } from '../words.ts'
import { Matrix } from './matrix.tsx'

interface Props {
  readonly arm: Arm
  readonly armLook: ArmLook
  readonly view: View
  readonly controller: Controller
}

export function Maps({ arm, armLook, view, controller }: Props) {
  const tokens = view.look!.tokens
  const T = tokens.length
  const { attention } = armLook
  const heads = useMemo(
    () =>
      attention
        ? Array.from({ length: attention.length / (T * T) }, (_, h) => attention.subarray(h * T * T, (h + 1) * T * T))
        : [],
    [attention, T],
  )
  return (
    <div class="maps" style={{ '--across': Math.min(heads.length, 4) }}>
      {heads.map((weights, head) => (
        <Head
          key={head}
          head={head}
          weights={weights}
          share={armLook.layers[armLook.layer]!.firstToken![head]!}
          arm={arm}
          view={view}
          controller={controller}
          layer={armLook.layer}
        />
      ))}
    </div>
  )
}

interface HeadProps {
  readonly head: number
  readonly weights: Float32Array
  /** Mean attention on the first token. */
  readonly share: number
  readonly arm: Arm
  readonly layer: number
  readonly view: View
  readonly controller: Controller
}

function Head({ head, weights, share, arm, layer, view, controller }: HeadProps) {
  const { look, started, cell } = view
  const T = look!.tokens.length
  const name = (position: number): string => shownToken(started!.labels[look!.tokens[position]!]!)
  const paint = useMemo(
    () => (canvas: HTMLCanvasElement, values: Float32Array) => paintAttention(canvas, values, T),
    [T],
  )
  const sentence = (query: number, key: number): string =>
    `${name(query)} at ${query} to ${name(key)} at ${key}: ${shown(weights[query * T + key])}`
  const inside = cell && cell.query < T && cell.key <= cell.query ? cell : undefined
  return (
    <figure class={`head${head === view.state.head ? ' chosen' : ''}`}>
      <Matrix
        rows={T}
        columns={T}
        values={weights}
        paint={paint}
        label={
          `Attention of run ${armNames[arm]}, layer ${layer}, head ${head}: ${shownShare(share)} on the first token, on average. ` +
          'Arrow keys choose a cell, Enter follows its query.'
        }
        cell={inside && [inside.query, inside.key]}
        first={[controller.firstCell.query, controller.firstCell.key]}
        row={followed(view)}
        point={(place, byKey) => {
          if (!place) return controller.point(undefined)
          const [query, key] = [place[0], Math.min(place[1], place[0])]
          controller.point(
            { query, key },
            byKey ? `Run ${armNames[arm]}, head ${head}. ${sentence(query, key)}` : undefined,
          )
        }}
        choose={([query]) => {
          controller.follow(query)
          controller.change({ head })
        }}
      />
      <figcaption>
        {inside ? (
          <>
            <span class="from">
              {name(inside.query)} → {name(inside.key)}
            </span>
            <b>{shown(weights[inside.query * T + inside.key])}</b>
          </>
        ) : (
          <>
            <span>head {head}</span>
            <b title="Mean attention on the first token">{shownShare(share)}</b>
          </>
        )}
      </figcaption>
    </figure>
  )
}
