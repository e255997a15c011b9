/** The page: it shows what the worker says, and stays free for clicks while the worker computes. */
export interface Progress {
  step: number
  loss: number
}

const output = document.querySelector<HTMLOutputElement>('#loss')!
const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
worker.onmessage = ({ data: { step, loss } }: MessageEvent<Progress>) => {
  output.value = `step ${step}: loss ${loss.toFixed(4)}`
}
worker.onerror = ({ message }) => {
  output.value = `it failed: ${message}`
}
