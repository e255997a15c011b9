/** What both models make of the followed token, in numbers; and, when asked for, of every token before it. */
import { followed, type View } from '../view.ts'
import { armNames, arms, shown, shownShare, shownToken } from '../words.ts'
import { ArmTable, both, LongTable, type Row } from './tables.tsx'

interface Props {
  readonly view: View
}

function rowsOf(view: View): Row[] {
  const look = view.look!
  const labels = view.started!.labels
  const at = followed(view)
  const T = look.tokens.length
  const perHead = (
    values: Float32Array | undefined,
    heads: number,
    place: (head: number) => number,
    decimals: number,
  ) => (values ? Array.from({ length: heads }, (_, h) => shown(values[place(h)], decimals)).join(' · ') : '–')
  const of = (arm: 0 | 1) => look.arms[arm]
  const guess = (arm: 0 | 1): string =>
    [0, 1, 2]
      .map((i) => 3 * at + i)
      .map((i) => `${shownToken(labels[of(arm).guesses[i]!]!)}\u00a0${shownShare(of(arm).guessProbabilities[i])}`)
      .join(' · ')
  const rows: Row[] = [
    ['Likeliest next', both(guess)],
    ['Chance of the right one', both((arm) => shownShare(Math.exp(-of(arm).losses[at]!)))],
  ]
  if (arms.some((arm) => of(arm).attention)) {
    rows.push([
      'Attention on the first token, by head',
      both((arm) => {
        const { attention } = of(arm)
        return perHead(attention, (attention?.length ?? 0) / (T * T), (h) => (h * T + at) * T, 3)
      }),
    ])
  }
  if (arms.some((arm) => of(arm).gate)) {
    rows.push(['Gate, by head', both((arm) => perHead(of(arm).gate, of(arm).gateHeads, (h) => h * T + at, 2))])
  }
  if (arms.some((arm) => of(arm).state)) {
    rows.push([
      'Share written, by head',
      both((arm) => perHead(of(arm).state?.beta, of(arm).state?.shape[0] ?? 0, (h) => h * T + at, 2)),
    ])
  }
  return rows
}

export function FollowedToken({ view }: Props) {
  const { look, started } = view
  if (!look || !started) return null
  const at = followed(view)
  return (
    <section class="panel" aria-labelledby="followed-title">
      <h3 id="followed-title">
        After <span class="token followed">{shownToken(started.labels[look.tokens[at]!]!)}</span> at {at}
      </h3>
      <div class="scroll">
        <ArmTable rows={rowsOf(view)} />
      </div>
      <AttentionTable view={view} />
    </section>
  )
}

/** The maps as a table: what the followed token attends to. */
function AttentionTable({ view }: Props) {
  const { look, started } = view
  const at = followed(view)
  const T = look!.tokens.length
  const columns = arms.flatMap((arm) => {
    const { attention } = look!.arms[arm]
    const heads = (attention?.length ?? 0) / (T * T)
    return Array.from({ length: heads }, (_, head) => ({
      title: `${armNames[arm]}, head ${head}`,
      values: attention!.subarray((head * T + at) * T, (head * T + at) * T + T),
    }))
  })
  if (columns.length === 0) return null
  return (
    <LongTable
      summary="The row of the maps as a table"
      label="Attention of the followed token"
      table={() => (
        <table>
          <thead>
            <tr>
              <th scope="col">Key</th>
              {columns.map(({ title }) => (
                <th key={title} scope="col">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {Array.from({ length: at + 1 }, (_, key) => (
              <tr key={key}>
                <th scope="row">
                  {key} {shownToken(started!.labels[look!.tokens[key]!]!)}
                </th>
                {columns.map(({ title, values }) => (
                  <td key={title}>{shown(values[key])}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    />
  )
}
