/** Play, pause, step, begin again; how far the runs are, and on what they run. */
import { formatInteger } from '../../../../src/train/report/format.ts'
import type { Controller } from '../controller.ts'
import type { DeviceReport } from '../protocol.ts'
import type { View } from '../view.ts'
import { shown } from '../words.ts'

interface Props {
  readonly view: View
  readonly controller: Controller
}

function deviceWords({ name, adapter, isSoftware, threads, isIsolated }: DeviceReport): string {
  if (name === 'webgpu') return `WebGPU${adapter ? `, ${adapter}` : ''}${isSoftware ? ', emulated' : ''}`
  const count = threads === 1 || threads === undefined ? 'one thread' : `${threads} threads`
  return isIsolated ? `WebAssembly, ${count}` : 'WebAssembly, one thread: this page is not isolated from other origins'
}

const phaseWords = {
  opening: 'getting ready',
  paused: 'paused',
  training: 'training',
  finished: 'finished',
  failed: 'stopped',
} as const

export function Transport({ view, controller }: Props) {
  const { phase, started, histories, stepsPerSecond } = view
  const steps = Math.max(...(started?.arms.map((arm) => arm.steps) ?? [view.state.steps]))
  const step = Math.min(...histories.map((history, arm) => history.last?.step ?? started?.arms[arm]?.step ?? 0))
  const isTraining = phase === 'training'
  return (
    <section class="transport" aria-label="Training">
      <div class="buttons">
        <button
          type="button"
          class="main"
          disabled={phase !== 'training' && phase !== 'paused'}
          onClick={() => (isTraining ? controller.pause() : controller.play())}
        >
          {isTraining ? 'Pause' : 'Play'}
        </button>
        <button type="button" disabled={phase !== 'paused'} onClick={() => controller.step(1)}>
          Step
        </button>
        <button type="button" onClick={() => controller.restart()}>
          Begin again
        </button>
      </div>
      <progress max={steps} value={step} aria-label="Steps done" />
      <p class="status">
        <span>
          Step <b class="count">{formatInteger(step)}</b> of {formatInteger(steps)}
        </span>
        <span>{phaseWords[phase]}</span>
        {isTraining && stepsPerSecond > 0 && (
          <span>{shown(stepsPerSecond, stepsPerSecond < 10 ? 1 : 0)} steps a second</span>
        )}
        {started && <span>{deviceWords(started.device)}</span>}
      </p>
    </section>
  )
}
