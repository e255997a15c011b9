import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openLab } from './fake-worker.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** The lab, with a worker that is ready. */
async function ready(hash = '') {
  const lab = openLab(hash)
  await vi.advanceTimersByTimeAsync(0)
  lab.worker.say({ type: 'ready' })
  return lab
}

/** With both runs there, paused or training as the address says. */
async function begun(hash = '') {
  const lab = await ready(hash)
  lab.worker.started()
  return lab
}

test('says nothing to a worker that does not listen yet, then starts both runs', async () => {
  const lab = openLab()
  await vi.advanceTimersByTimeAsync(0)
  expect(lab.worker.told).toEqual([])
  lab.worker.say({ type: 'ready' })
  const { plans, device } = lab.worker.last('start')
  expect(device).toBe('auto')
  expect(plans.map((plan) => plan.from === 'config' && plan.config.seed)).toEqual([1, 1])
})

test('trains and looks as soon as the runs are there, unless the address says otherwise', async () => {
  const playing = await begun()
  expect(playing.worker.count('play')).toBe(1)
  expect(playing.worker.last('look').passage).toEqual({ from: 'held-out', index: 0 })
  expect(playing.view.phase).toBe('training')
  const paused = await begun('play=0')
  expect(paused.worker.count('play')).toBe(0)
  expect(paused.worker.count('look')).toBe(1)
  expect(paused.view.phase).toBe('paused')
})

test('gives the sample to a run on a text that was not pasted', async () => {
  const texts = async (hash: string) => {
    const { plans } = (await ready(hash)).worker.last('start')
    return plans.map((plan) => plan.text)
  }
  expect(await texts('data=text')).toEqual(['call me ishmael', 'call me ishmael'])
  expect(await texts('data=text&text=own')).toEqual(['own', 'own'])
  expect(await texts('')).toEqual([undefined, undefined])
})

test('makes one start of several changes, and hears nothing more of the runs before', async () => {
  const lab = await begun()
  const before = lab.worker.last('start').experiment
  lab.controller.change({ seed: 2 })
  lab.controller.change({ seed: 3 })
  expect(lab.view.phase).toBe('opening')
  await vi.advanceTimersByTimeAsync(1000)
  expect(lab.worker.count('start')).toBe(2)
  expect(lab.workers).toHaveLength(1)
  lab.worker.progress(50, true, before)
  expect(lab.view.histories[0].last).toBeUndefined()
  lab.worker.started()
  lab.worker.progress(7, true)
  expect(lab.view.histories[0].last?.step).toBe(7)
  expect(lab.hashes.at(-1)).toBe('seed=3')
})

test('does not begin anew for what is only looked at', async () => {
  const lab = await begun()
  lab.worker.look()
  lab.controller.change({ layer: 1, passage: 9 })
  await vi.advanceTimersByTimeAsync(1000)
  expect(lab.worker.count('start')).toBe(1)
  // Passages are counted round.
  expect(lab.worker.last('look')).toMatchObject({ layer: 1, passage: { from: 'held-out', index: 1 } })
  lab.controller.change({ prompt: 'a b' })
  expect(lab.worker.last('look').passage).toEqual({ from: 'typed', text: 'a b' })
})

test('takes the answer to its last look only', async () => {
  const lab = await begun('play=0')
  const first = lab.worker.last('look').request
  lab.controller.change({ layer: 1 })
  lab.worker.look(first)
  expect(lab.view.look).toBeUndefined()
  lab.worker.look()
  expect(lab.view.look?.tokens).toHaveLength(3)
})

test('looks again while it trains, not sooner than it may, and once more when it stops', async () => {
  const lab = await begun()
  lab.worker.look()
  lab.worker.progress(1, true)
  lab.worker.progress(2, true)
  await vi.advanceTimersByTimeAsync(99)
  expect(lab.worker.count('look')).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(lab.worker.count('look')).toBe(2)
  // Unanswered: no third one, however long it takes.
  lab.worker.progress(3, true)
  await vi.advanceTimersByTimeAsync(500)
  expect(lab.worker.count('look')).toBe(2)
  lab.worker.progress(4, false)
  expect(lab.worker.count('look')).toBe(3)
})

test('is finished at the last step', async () => {
  const lab = await begun()
  lab.worker.progress(99, false)
  expect(lab.view.phase).toBe('paused')
  lab.worker.progress(100, false)
  expect(lab.view.phase).toBe('finished')
})

test('keeps in its address whether it trains', async () => {
  const lab = await begun()
  lab.controller.pause()
  expect(lab.worker.count('pause')).toBe(1)
  lab.worker.progress(3, false)
  expect(lab.hashes.at(-1)).toBe('play=0')
  lab.controller.play()
  expect(lab.hashes.at(-1)).toBe('')
})

test('follows a position, the last one wherever it is', async () => {
  const lab = await begun('play=0')
  lab.worker.look()
  lab.controller.follow(0)
  expect(lab.view.state.position).toBe(0)
  expect(lab.view.spoken).toBe('Position 0: c')
  lab.controller.follow(99)
  expect(lab.view.state.position).toBe(-1)
  expect(lab.worker.count('look')).toBe(1)
})

test('another device needs another worker', async () => {
  const lab = await begun()
  const before = lab.worker
  lab.controller.change({ device: 'cpu' })
  await vi.advanceTimersByTimeAsync(1000)
  expect(before.isTerminated).toBe(true)
  expect(lab.workers).toHaveLength(2)
  before.progress(5, true)
  expect(lab.view.histories[0].last).toBeUndefined()
  lab.worker.say({ type: 'ready' })
  expect(lab.worker.last('start').device).toBe('cpu')
})

test('says why it stopped, and begins again with a worker that nothing has happened to', async () => {
  const lab = await begun()
  lab.worker.say({ type: 'failed', experiment: lab.worker.last('start').experiment, message: 'the loss is infinite' })
  expect(lab.view).toMatchObject({ phase: 'failed', failure: 'the loss is infinite' })
  lab.controller.restart()
  await vi.advanceTimersByTimeAsync(0)
  expect(lab.workers).toHaveLength(2)
  expect(lab.view).toMatchObject({ phase: 'opening', failure: undefined })
  lab.worker.fail('The worker stopped.')
  expect(lab.view).toMatchObject({ phase: 'failed', failure: 'The worker stopped.' })
})

test('refuses options that a task cannot have, and changes nothing', async () => {
  const lab = await begun()
  const { state } = lab.view
  const problem = lab.controller.change({ taskOptions: { ...state.taskOptions, triggers: 62 } })
  expect(problem).toContain('vocabularySize 64 is too small for 62 triggers')
  expect(lab.view.state).toBe(state)
})

test('begins another task with that task’s own options', async () => {
  const lab = await begun('o.triggers=2&at=5&show=a')
  lab.controller.change({ data: 'parity' })
  expect(lab.view.state.taskOptions).toEqual({ minLength: 3, maxLength: 40 })
  expect(lab.hashes.at(-1)).toBe('data=parity')
})

test('a file is a run beside one of the settings, until it is closed', async () => {
  const lab = await begun()
  await lab.controller.open(1, { name: 'b.zip', arrayBuffer: async () => new ArrayBuffer(3) })
  await vi.advanceTimersByTimeAsync(0)
  expect(lab.worker.last('start').plans.map(({ from }) => from)).toEqual(['config', 'file'])
  expect(lab.view.opened).toEqual([undefined, 'b.zip'])
  lab.controller.close(1)
  await vi.advanceTimersByTimeAsync(0)
  expect(lab.worker.last('start').plans.map(({ from }) => from)).toEqual(['config', 'config'])
})

test('saves what is downloaded, and tells how a command line opens it', async () => {
  const lab = await begun()
  lab.controller.download(1)
  const { experiment } = lab.worker.last('start')
  expect(lab.worker.last('download').arm).toBe(1)
  const [name, command] = ['b.zip', 'npx sluice train --resume b.zip']
  lab.worker.say({ type: 'file', experiment, arm: 1, name, bytes: new ArrayBuffer(1), command })
  expect(lab.saved).toEqual(['b.zip'])
  expect(lab.view.downloaded).toEqual({ name, command })
})

test('takes another address that is typed', async () => {
  const lab = await begun()
  lab.hashes.push('#seed=5&sed=1')
  lab.controller.readUrl()
  expect(lab.view.state.seed).toBe(5)
  expect(lab.view.problems).toEqual(['sed: there is no such key; it is left out'])
  await vi.advanceTimersByTimeAsync(1000)
  expect(lab.worker.count('start')).toBe(2)
})
