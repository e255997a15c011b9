/**
 * The whole state of the lab as one plain object, read from and written to the part of the URL after '#'.
 *
 * Only what differs from the default is written. What cannot be read is refused by name, and the default stands in its place.
 */
import { type TaskOptions, tasks } from '../../../src/train/tasks.ts'
import { type ChoiceField, choice, type Field, flag, integer, type NumberField, real, words } from './fields.ts'
import type { ArmChoice, Choice } from './plan.ts'
import type { DeviceChoice } from './protocol.ts'

/** What the two runs are, where they run, and what is looked at. */
export interface LabState extends Choice {
  /** With data 'text': the text; '' for the sample that the page brings. */
  readonly text: string
  readonly device: DeviceChoice
  /** Whether training starts with the page. */
  readonly play: boolean
  /** The layer that is looked at, from 0. */
  readonly layer: number
  /** The head whose map is large, from 0. */
  readonly head: number
  /** The position that is followed, from 0; -1 for the last. */
  readonly position: number
  /** The held-out sequence that the models are shown, where nothing was typed. */
  readonly passage: number
  /** What was typed for them to be shown. */
  readonly prompt: string
}

/** Characters of a pasted text. Three bytes a character and three signs a byte keep the URL below the 2 MB that browsers take. */
export const longestText = 100_000

/** A map has T^2 cells a head and layer, read and drawn some times a second. */
export const longestSequence = 256

/** Of a task's option that is a number. */
const greatestOption = 1024

export const taskNames: readonly string[] = Object.keys(tasks)

/** Where the lab begins differently from the task: sequences short enough to be seen, and much to copy (see `studyPresets`). */
const labOptions: Readonly<Record<string, TaskOptions>> = {
  bigramBackcopy: { triggerPercent: 50 },
  copy: { sequenceLength: 48 },
  selectiveCopy: { sequenceLength: 48 },
  multiQueryRecall: { vocabularySize: 64 },
}

/** Every option of a task with the value that the lab begins with; {} for a text. */
export function initialTaskOptions(task: string): TaskOptions {
  if (task === 'text') return {}
  const { batchSize: _, ...options } = tasks[task]!.defaults
  return { ...options, ...labOptions[task] }
}

/** Why a task cannot have these options, or null. */
export function taskProblem(task: string, options: TaskOptions): string | null {
  if (task === 'text') return null
  for (const key of ['sequenceLength', 'maxLength']) {
    if (Number(options[key]) > longestSequence) {
      return `${task}: ${key} must be at most ${longestSequence} here, got ${options[key]}`
    }
  }
  try {
    tasks[task]!.vocabularySize(options)
    return null
  } catch (error) {
    // The place in this file is nothing to the reader.
    return (error as Error).message.replace(/ \(at [^()]*\)$/, '')
  }
}

const armFields: { readonly [Key in keyof ArmChoice]: ChoiceField<ArmChoice[Key]> } = {
  mixer: choice('attention', ['attention', 'hybrid', 'gatedDelta', 'delta', 'kda']),
  gate: choice('none', ['none', 'G1', 'G2', 'G3', 'G4', 'G5']),
  grain: choice('elementwise', ['elementwise', 'headwise']),
  activation: choice('sigmoid', ['sigmoid', 'nsSigmoid', 'silu', 'identity']),
}

/** Of arm A and of arm B, which begins with the paper's gate. */
export const armFieldsOf: readonly [typeof armFields, typeof armFields] = [
  armFields,
  { ...armFields, gate: { ...armFields.gate, initial: 'G1' } },
]

type PlainKey = Exclude<keyof LabState, 'taskOptions' | 'arms'>

/**
 * The default model is the smallest found in which a sink forms soon. After 300 steps its stronger head gives the
 * first token 48, 37, 30 and 33 % of its attention without a gate, 12, 6, 18 and 10 % with one (seeds 1 to 4, the mean over 8
 * held-out sequences; 7 % is the uniform share); after all 1500, 60, 38, 39 and 38 % against 13, 12, 20 and 10 %. Steps of 16
 * sequences, two and three layers and other rates were slower or hung on the seed.
 */
export const fields = {
  data: choice<string>('bigramBackcopy', [...taskNames, 'text']),
  text: words(longestText),
  layers: integer(1, 1, 8),
  width: integer(64, 8, 256),
  heads: integer(2, 1, 8),
  learningRate: real(1e-2, 1e-6, 1),
  steps: integer(1500, 1, 100_000),
  seed: integer(1, 0, 2 ** 31 - 1),
  batchSize: integer(8, 1, 128),
  contextLength: integer(64, 2, longestSequence),
  device: choice('auto', ['auto', 'webgpu', 'cpu']),
  play: flag(true),
  layer: integer(0, 0, 7),
  head: integer(0, 0, 7),
  position: integer(-1, -1, longestSequence - 1),
  passage: integer(0, 0, 999),
  prompt: words(1000),
} satisfies { readonly [Key in PlainKey]: Field<LabState[Key]> }

/** Keys of the URL. Options of the task are `o.NAME`, those of the arms `a.NAME` and `b.NAME`. */
const urlKeys: Readonly<Record<PlainKey, string>> = {
  data: 'data',
  text: 'text',
  layers: 'layers',
  width: 'width',
  heads: 'heads',
  learningRate: 'rate',
  steps: 'steps',
  seed: 'seed',
  batchSize: 'batch',
  contextLength: 'length',
  device: 'device',
  play: 'play',
  layer: 'layer',
  head: 'head',
  position: 'at',
  passage: 'passage',
  prompt: 'show',
}

const plainKeys = Object.keys(urlKeys) as PlainKey[]
const armKeys = Object.keys(armFields) as (keyof ArmChoice)[]
const armNames = ['a', 'b'] as const

function initialArm(arm: 0 | 1): ArmChoice {
  return Object.fromEntries(armKeys.map((key) => [key, armFieldsOf[arm][key].initial])) as unknown as ArmChoice
}

function initialState(data: string): LabState {
  const plain = Object.fromEntries(plainKeys.map((key) => [key, fields[key].initial]))
  return {
    ...(plain as unknown as LabState),
    data,
    taskOptions: initialTaskOptions(data),
    arms: [initialArm(0), initialArm(1)],
  }
}

export const defaultState: LabState = initialState(fields.data.initial)

export const optionNumber = (initial: number): NumberField =>
  Number.isInteger(initial) ? integer(initial, 0, greatestOption) : real(initial, 0, greatestOption)

/** An option is a number or a switch, as its default is. */
const optionField = (initial: number | boolean): Field<number> | Field<boolean> =>
  typeof initial === 'boolean' ? flag(initial) : optionNumber(initial)

/** One line of a URL: its key, its field, and the value that a state has there. */
interface Entry {
  readonly key: string
  readonly field: Field<unknown>
  readonly value: unknown
}

function entries(state: LabState): Entry[] {
  const initial = initialTaskOptions(state.data)
  return [
    ...plainKeys.map((key) => ({ key: urlKeys[key], field: fields[key], value: state[key] })),
    ...Object.keys(initial).map((key) => ({
      key: `o.${key}`,
      field: optionField(initial[key]!),
      value: state.taskOptions[key],
    })),
    ...armNames.flatMap((name, arm) =>
      armKeys.map((key) => ({ key: `${name}.${key}`, field: armFieldsOf[arm]![key], value: state.arms[arm]![key] })),
    ),
  ] as Entry[]
}

/**
 * What stands after '#' in the URL of a state: nothing for the default.
 *
 * @example
 * writeState({ ...defaultState, seed: 7 }) // 'seed=7'
 */
export function writeState(state: LabState): string {
  const search = new URLSearchParams()
  for (const { key, field, value } of entries(state)) {
    if (value !== field.initial) search.set(key, field.write(value))
  }
  return search.toString()
}

/** A state, and what could not be read, a sentence each. */
export interface ReadState {
  readonly state: LabState
  readonly problems: readonly string[]
}

const short = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text)

/**
 * The state that a URL says.
 *
 * @param hash what stands after '#', with or without it
 *
 * @example
 * readState('#seed=7').state.seed // 7
 * readState('#seed=x').problems // ['seed=x: expected an integer from 0 to 2147483647; 1 is used']
 */
export function readState(hash: string): ReadState {
  const search = new URLSearchParams(hash.replace(/^#/, ''))
  const problems: string[] = []
  const read = new Map<string, unknown>()
  const take = ({ key, field }: Entry): void => {
    const text = search.get(key)
    search.delete(key)
    if (text === null) return
    const value = field.read(text)
    if (value !== undefined) return void read.set(key, value)
    const initial = field.initial === '' ? 'none' : field.write(field.initial)
    problems.push(`${key}=${short(text)}: expected ${field.expected}; ${initial} is used`)
  }
  take({ key: urlKeys.data, field: fields.data as Field<unknown>, value: undefined })
  // Which options there are depends on the task.
  const base = initialState((read.get(urlKeys.data) as string | undefined) ?? defaultState.data)
  for (const entry of entries(base)) if (entry.key !== urlKeys.data) take(entry)
  for (const key of new Set(search.keys())) problems.push(`${short(key)}: there is no such key; it is left out`)

  const part = <Part extends object>(initial: Part, nameOf: (key: string) => string): Part =>
    Object.fromEntries(Object.entries(initial).map(([key, value]) => [key, read.get(nameOf(key)) ?? value])) as Part
  const state: LabState = {
    ...part(base, (key) => urlKeys[key as PlainKey]),
    taskOptions: part(base.taskOptions, (key) => `o.${key}`),
    arms: [part(base.arms[0], (key) => `a.${key}`), part(base.arms[1], (key) => `b.${key}`)],
  }
  const problem = taskProblem(state.data, state.taskOptions)
  if (problem === null) return { state, problems }
  problems.push(`${problem}; the task's first options are used`)
  return { state: { ...state, taskOptions: base.taskOptions }, problems }
}
