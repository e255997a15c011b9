/** What the page lets one choose of the two runs, and the training configurations that follow. */

/** What mixes tokens: attention in every layer, the delta rule in every layer, or both in turns, attention in every second layer. */
export type Mixer = 'attention' | 'hybrid' | 'gatedDelta' | 'delta' | 'kda'

/** What the two arms may differ in. */
export interface ArmChoice {
  readonly mixer: Mixer
  /** Of attention layers; the rest of the gate's settings count only with one. */
  readonly gate: 'none' | 'G1' | 'G2' | 'G3' | 'G4' | 'G5'
  readonly grain: 'elementwise' | 'headwise'
  readonly activation: 'sigmoid' | 'nsSigmoid' | 'silu' | 'identity'
}

/** What they have in common. */
export interface RunChoice {
  /** A task's name in `tasks`, or 'text'. */
  readonly data: string
  /** Of the task: what differs from its defaults. */
  readonly taskOptions: Readonly<Record<string, number | boolean>>
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly learningRate: number
  readonly seed: number
  readonly steps: number
  readonly batchSize: number
  /** T of a text; a task brings its own. */
  readonly contextLength: number
}

/** Everything that makes an experiment but the text itself. */
export interface Choice extends RunChoice {
  readonly arms: readonly [ArmChoice, ArmChoice]
}
