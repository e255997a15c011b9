/** What the page shows: made by the controller, read by the panels. */
import type { History } from './history.ts'
import type { Both, WorkerMessage } from './protocol.ts'
import type { LabState } from './state.ts'

export type Started = Extract<WorkerMessage, { type: 'started' }>
export type Look = Extract<WorkerMessage, { type: 'look' }>

/**
 * 'opening' until the worker has begun the runs that the state asks for; then 'paused' or 'training'; 'finished' after the last step;
 * 'failed' when it says so.
 */
export type Phase = 'opening' | 'paused' | 'training' | 'finished' | 'failed'

/** A cell of an attention map, the same in all maps: how much position `query` attends to position `key`. */
export interface Cell {
  readonly query: number
  readonly key: number
}

export interface View {
  readonly state: LabState
  /** What of the URL could not be read. */
  readonly problems: readonly string[]
  readonly phase: Phase
  /** Why, in phase 'failed'. */
  readonly failure: string | undefined
  /** Of the runs that are shown; of the ones before them in phase 'opening'. */
  readonly started: Started | undefined
  readonly histories: Both<History>
  readonly look: Look | undefined
  /** Why what was typed cannot be shown. */
  readonly refusal: string | undefined
  readonly stepsPerSecond: number
  readonly cell: Cell | undefined
  /** Names of the files that the arms go on from, which the URL does not hold. */
  readonly opened: Both<string | undefined>
  /** How the last downloaded run is opened on a command line. */
  readonly downloaded: { readonly name: string; readonly command: string } | undefined
  /** For a screen reader: what has changed, a sentence. */
  readonly spoken: string
}

/** The position that is followed, in the tokens that are shown. */
export function followed({ state, look }: View): number {
  const T = look?.tokens.length ?? 0
  return state.position < 0 ? T - 1 : Math.min(state.position, T - 1)
}

/** Whether the runs learn a text, so that tokens are characters; a file may hold other runs than the settings say. */
export function readsText({ started }: View): boolean {
  const { data } = (started?.arms[0].config ?? {}) as { data?: { task?: string } }
  return data !== undefined && data.task === undefined
}

/** The text of the tokens that are shown, as it can be typed. */
export function shownText(view: View): string {
  const { look, started } = view
  if (!look || !started) return ''
  return [...look.tokens].map((token) => started.labels[token]).join(readsText(view) ? '' : ' ')
}
