/** What the two runs are: data, size, training, and what each arm mixes its tokens with. Every change begins both runs anew. */
import { tasks } from '../../../../src/train/tasks.ts'
import type { Controller } from '../controller.ts'
import { type ArmChoice, hasAttention } from '../plan.ts'
import { armFieldsOf, defaultState, fields, initialTaskOptions, longestText, optionNumber } from '../state.ts'
import type { View } from '../view.ts'
import { activationWords, armNames, arms, gateWords, grainWords, mixerWords, optionWords, taskWords } from '../words.ts'
import { ChoiceControl, FlagControl, NumberControl } from './field.tsx'

interface Props {
  readonly view: View
  readonly controller: Controller
}

export function Controls({ view, controller }: Props) {
  const { state, opened } = view
  return (
    <form class="controls" onSubmit={(event) => event.preventDefault()}>
      {arms.map((arm) => (
        <ArmControls key={arm} arm={arm} view={view} controller={controller} />
      ))}
      {opened.some((name) => name !== undefined) ? (
        <p class="note">
          Data, size and training are the opened file’s. The address of this page does not hold it: keep the file.
        </p>
      ) : (
        <CommonControls view={view} controller={controller} />
      )}
      <fieldset>
        <legend>Device</legend>
        <ChoiceControl
          label="Runs on"
          field={fields.device}
          words={deviceWords}
          value={state.device}
          change={(device) => controller.change({ device })}
        />
      </fieldset>
      <button type="button" class="quiet" onClick={() => controller.change({ ...defaultState, play: state.play })}>
        All settings as they were at first
      </button>
    </form>
  )
}

function CommonControls({ view, controller }: Props) {
  const { state } = view
  const numbers = (keys: readonly NumberKey[]) =>
    keys.map((key) => (
      <NumberControl
        key={key}
        label={numberWords[key]}
        field={fields[key]}
        step={key === 'learningRate' ? 'any' : 1}
        value={state[key]}
        change={(value) => controller.change({ [key]: value })}
      />
    ))
  return (
    <>
      <fieldset>
        <legend>Data</legend>
        <ChoiceControl
          label="Task"
          field={fields.data}
          words={taskWords}
          value={state.data}
          change={(data) => controller.change({ data })}
        />
        {state.data === 'text' ? (
          <TextControl view={view} controller={controller} />
        ) : (
          <TaskControls view={view} controller={controller} />
        )}
      </fieldset>
      <fieldset>
        <legend>Both models</legend>
        {numbers(['layers', 'width', 'heads'])}
      </fieldset>
      <fieldset>
        <legend>Training</legend>
        {numbers(state.data === 'text' ? [...trainingKeys, 'contextLength'] : trainingKeys)}
      </fieldset>
    </>
  )
}

function TaskControls({ view, controller }: Props) {
  const { data, taskOptions } = view.state
  return (
    <>
      <p class="note">{tasks[data]!.doc}</p>
      {Object.entries(initialTaskOptions(data)).map(([key, initial]) => {
        const value = taskOptions[key]!
        const change = (next: number | boolean) => controller.change({ taskOptions: { ...taskOptions, [key]: next } })
        const common = { label: optionWords(key), change }
        return typeof value === 'boolean' ? (
          <FlagControl key={key} value={value} {...common} />
        ) : (
          <NumberControl
            key={`${data}.${key}`}
            field={optionNumber(Number(initial))}
            step={Number.isInteger(initial) ? 1 : 'any'}
            value={value}
            {...common}
          />
        )
      })}
    </>
  )
}

const deviceWords = { auto: 'the GPU if there is one', webgpu: 'WebGPU', cpu: 'WebAssembly' }

const numberWords = {
  layers: 'Layers',
  width: 'Width',
  heads: 'Heads',
  learningRate: 'Learning rate',
  batchSize: 'Batch',
  steps: 'Steps',
  seed: 'Seed',
  contextLength: 'Context',
} as const

type NumberKey = keyof typeof numberWords

const trainingKeys = ['learningRate', 'batchSize', 'steps', 'seed'] as const

function ArmControls({ arm, view, controller }: Props & { readonly arm: 0 | 1 }) {
  const { state, opened } = view
  const choice = state.arms[arm]
  const armFields = armFieldsOf[arm]
  const change = (part: Partial<ArmChoice>): string | null => {
    const next = { ...choice, ...part }
    return controller.change({ arms: arm === 0 ? [next, state.arms[1]] : [state.arms[0], next] })
  }
  const file = opened[arm]
  if (file !== undefined) {
    return (
      <fieldset class={`arm arm-${arm}`}>
        <legend>Run {armNames[arm]}</legend>
        <p>{file}</p>
      </fieldset>
    )
  }
  const isGated = hasAttention(choice) && choice.gate !== 'none'
  return (
    <fieldset class={`arm arm-${arm}`}>
      <legend>Run {armNames[arm]}</legend>
      <ChoiceControl
        label="Mixes tokens by"
        field={armFields.mixer}
        words={mixerWords}
        value={choice.mixer}
        change={(mixer) => change({ mixer })}
      />
      {hasAttention(choice) && (
        <ChoiceControl
          label="Gate"
          field={armFields.gate}
          words={gateWords}
          value={choice.gate}
          change={(gate) => change({ gate })}
        />
      )}
      {isGated && (
        <>
          <ChoiceControl
            label="Granularity"
            field={armFields.grain}
            words={grainWords}
            value={choice.grain}
            change={(grain) => change({ grain })}
          />
          <ChoiceControl
            label="Activation"
            field={armFields.activation}
            words={activationWords}
            value={choice.activation}
            change={(activation) => change({ activation })}
          />
        </>
      )}
    </fieldset>
  )
}

function TextControl({ view, controller }: Props) {
  return (
    <div class="field wide">
      <label for="own-text">Text to learn from</label>
      <textarea
        id="own-text"
        rows={5}
        maxLength={longestText}
        placeholder="Paste one; left empty, it is the first chapters of Moby Dick."
        value={view.state.text}
        aria-describedby="own-text-note"
        onChange={(event) => controller.change({ text: event.currentTarget.value })}
      />
      <p class="note" id="own-text-note">
        At most {longestText.toLocaleString('en')} characters. They become part of this page’s address, and stay in your
        browser unless you send that address to somebody.
      </p>
    </div>
  )
}
