/** What the two runs are: data, size, training, and what each arm mixes its tokens with. Every change begins both runs anew. */
import { tasks } from '../../../../src/train/tasks.ts'
import type { Controller } from '../controller.ts'
import type { ArmChoice } from '../plan.ts'
import { armFieldsOf, defaultState, fields, initialTaskOptions, longestText, optionNumber } from '../state.ts'
import type { View } from '../view.ts'
import {
  activationWords,
  armNames,
  arms,
  gateWords,
  grainWords,
  hasAttention,
  mixerWords,
  optionWords,
  taskWords,
} from '../words.ts'
import { ChoiceControl, FlagControl, NumberControl } from './field.tsx'

interface Props {
  readonly view: View
  readonly controller: Controller
}

export function Controls({ view, controller }: Props) {
  const { state, opened } = view
  const isOpened = opened.some((name) => name !== undefined)
  const numbers = (keys: readonly NumberKey[]) =>
    keys.map((key) => (
      <NumberControl
        key={key}
        label={numberWords[key]}
        field={fields[key]}
        step={key === 'learningRate' ? 'any' : 1}
        value={state[key]}
        disabled={isOpened}
        change={(value) => controller.change({ [key]: value })}
      />
    ))
  return (
    <form class="controls" onSubmit={(event) => event.preventDefault()}>
      {isOpened && (
        <p class="note">
          Data, size and training come from the opened file. The address of this page does not hold it: keep the file.
        </p>
      )}
      {arms.map((arm) => (
        <ArmControls key={arm} arm={arm} view={view} controller={controller} />
      ))}
      <fieldset>
        <legend>Data</legend>
        <ChoiceControl
          label="Task"
          field={fields.data}
          words={taskWords}
          value={state.data}
          disabled={isOpened}
          change={(data) => controller.change({ data })}
        />
        {state.data === 'text' ? (
          <TextControl view={view} controller={controller} disabled={isOpened} />
        ) : (
          <>
            <p class="note">{tasks[state.data]!.doc}</p>
            {Object.entries(initialTaskOptions(state.data)).map(([key, initial]) => {
              const value = state.taskOptions[key]!
              const change = (next: number | boolean) =>
                controller.change({ taskOptions: { ...state.taskOptions, [key]: next } })
              return typeof value === 'boolean' ? (
                <FlagControl key={key} label={optionWords(key)} value={value} disabled={isOpened} change={change} />
              ) : (
                <NumberControl
                  key={`${state.data}.${key}`}
                  label={optionWords(key)}
                  field={optionNumber(Number(initial))}
                  step={Number.isInteger(initial) ? 1 : 'any'}
                  value={value}
                  disabled={isOpened}
                  change={change}
                />
              )
            })}
          </>
        )}
      </fieldset>
      <fieldset class="numbers">
        <legend>Both models</legend>
        {numbers(['layers', 'width', 'heads'])}
      </fieldset>
      <fieldset class="numbers">
        <legend>Training</legend>
        {numbers(state.data === 'text' ? [...trainingKeys, 'contextLength'] : trainingKeys)}
      </fieldset>
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
  const disabled = opened[arm] !== undefined
  const change = (part: Partial<ArmChoice>): string | null => {
    const next = { ...choice, ...part }
    return controller.change({ arms: arm === 0 ? [next, state.arms[1]] : [state.arms[0], next] })
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
        disabled={disabled}
        change={(mixer) => change({ mixer })}
      />
      {hasAttention(choice) && (
        <ChoiceControl
          label="Gate"
          field={armFields.gate}
          words={gateWords}
          value={choice.gate}
          disabled={disabled}
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
            disabled={disabled}
            change={(grain) => change({ grain })}
          />
          <ChoiceControl
            label="Activation"
            field={armFields.activation}
            words={activationWords}
            value={choice.activation}
            disabled={disabled}
            change={(activation) => change({ activation })}
          />
        </>
      )}
    </fieldset>
  )
}

function TextControl({ view, controller, disabled }: Props & { readonly disabled: boolean }) {
  return (
    <div class="field wide">
      <label for="own-text">Text to learn from</label>
      <textarea
        id="own-text"
        rows={5}
        maxLength={longestText}
        placeholder="Paste one; left empty, it is the first chapters of Moby Dick."
        value={view.state.text}
        disabled={disabled}
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
