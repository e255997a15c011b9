/** The tokens that both models read, one of them followed; under each how much the followed one attends to it in A and in B. */
import { useId, useState } from 'preact/hooks'
import type { Controller } from '../controller.ts'
import { fields } from '../state.ts'
import { followed, readsText, shownText, type View } from '../view.ts'
import { arms, shownToken } from '../words.ts'
import { NumberControl } from './field.tsx'

interface Props {
  readonly view: View
  readonly controller: Controller
}

/** What the followed token's row says, per arm and position; undefined where the layer has no attention. */
function rowOf(view: View, arm: 0 | 1): Float32Array | undefined {
  const { look, state } = view
  const T = look!.tokens.length
  const { attention } = look!.arms[arm]
  if (!attention) return undefined
  const head = Math.min(state.head, attention.length / (T * T) - 1)
  const start = (head * T + followed(view)) * T
  return attention.subarray(start, start + T)
}

export function PassagePanel({ view, controller }: Props) {
  const { look, started, state } = view
  const id = useId()
  if (!look || !started) return null
  const at = followed(view)
  const T = look.tokens.length
  const rows = arms.map((arm) => rowOf(view, arm))
  const press = (event: KeyboardEvent): void => {
    // Keys may come faster than the page is drawn.
    const now = followed(controller.view)
    const next = { ArrowLeft: now - 1, ArrowUp: now - 1, ArrowRight: now + 1, ArrowDown: now + 1, Home: 0, End: T - 1 }[
      event.key
    ]
    if (next === undefined) return
    controller.follow(next)
    event.preventDefault()
  }
  const heads = Math.max(1, ...started.arms.map((report) => report.heads))
  return (
    <section class="panel passage" aria-labelledby={`${id}-title`}>
      <header>
        <h3 id={`${id}-title`}>What both models read</h3>
        <p class="note" id={`${id}-note`}>
          Click a token, or move with the arrow keys, to follow it. Below each token: how much the followed one attends
          to it, A above B.
        </p>
      </header>
      <div
        class={`tokens${readsText(view) ? ' characters' : ''}`}
        role="listbox"
        tabIndex={0}
        aria-label="Tokens"
        aria-describedby={`${id}-note`}
        aria-activedescendant={`${id}-${at}`}
        onKeyDown={press}
      >
        {[...look.tokens].map((token, t) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the list takes the keys
          // biome-ignore lint/a11y/useFocusableInteractive: the list has the focus
          <span
            key={t}
            id={`${id}-${t}`}
            role="option"
            aria-selected={t === at}
            class={`token${t === at ? ' followed' : ''}${t > at ? ' later' : ''}`}
            onClick={() => controller.follow(t)}
          >
            {shownToken(started.labels[token]!)}
            {arms.map((arm) => (
              <i
                key={arm}
                class={`share arm-${arm}`}
                style={{ opacity: rows[arm] && t <= at ? Math.sqrt(rows[arm][t]!) : 0 }}
              />
            ))}
          </span>
        ))}
      </div>
      <div class="choices">
        <NumberControl
          label="Head"
          field={{ ...fields.head, greatest: heads - 1, expected: `an integer from 0 to ${heads - 1}` }}
          value={Math.min(state.head, heads - 1)}
          change={(head) => controller.change({ head })}
        />
        {state.prompt === '' ? (
          <NumberControl
            label="Held-out sequence"
            field={{
              ...fields.passage,
              greatest: started.passages - 1,
              expected: `an integer from 0 to ${started.passages - 1}`,
            }}
            value={state.passage % Math.max(1, started.passages)}
            change={(passage) => controller.change({ passage })}
          />
        ) : (
          <button type="button" onClick={() => controller.change({ prompt: '', position: -1 })}>
            Back to held-out data
          </button>
        )}
        <TypedToken view={view} controller={controller} />
        <TypedPassage view={view} controller={controller} />
      </div>
      {view.refusal && (
        <p class="reason" role="alert">
          {view.refusal}
        </p>
      )}
    </section>
  )
}

function TypedToken({ view, controller }: Props) {
  const id = useId()
  const [token, setToken] = useState('')
  const isText = readsText(view)
  const add = (event: Event): void => {
    event.preventDefault()
    if (token === '') return
    const text = shownText(view)
    const prompt = isText ? text + token : `${text} ${token.trim()}`
    controller.change({ prompt: prompt.slice(-1000), position: -1 })
    setToken('')
  }
  return (
    <form class="typed" onSubmit={add}>
      <label for={id}>Add a token</label>
      <input
        id={id}
        value={token}
        size={8}
        autocomplete="off"
        list={isText ? undefined : `${id}-tokens`}
        onInput={(event) => setToken(event.currentTarget.value)}
      />
      {!isText && (
        <datalist id={`${id}-tokens`}>
          {view.started!.labels.map((label) => (
            <option key={label} value={label} />
          ))}
        </datalist>
      )}
      <button type="submit">Add and follow</button>
    </form>
  )
}

function TypedPassage({ view, controller }: Props) {
  const id = useId()
  const shownNow = view.state.prompt || shownText(view)
  const show = (event: Event): void => {
    event.preventDefault()
    const text = new FormData(event.currentTarget as HTMLFormElement).get('text') as string
    controller.change({ prompt: text.slice(0, 1000), position: -1 })
  }
  return (
    <details class="other">
      <summary>Type another passage</summary>
      <form onSubmit={show}>
        <label for={id}>{readsText(view) ? 'Characters of the text' : 'Tokens, a space between two'}</label>
        <textarea id={id} name="text" rows={3} maxLength={1000} defaultValue={shownNow} key={shownNow} />
        <button type="submit">Show it to both</button>
      </form>
    </details>
  )
}
