/** Turns of the event loop. */

const { setImmediate } = globalThis as { setImmediate?: (then: () => void) => void }

/**
 * Ends the job that runs, and goes on in the next: timers, messages and signals get in between, and the collector may take what
 * weak references were made to in this one. Promises that are kept at once do not end a job, however many are waited for.
 */
export const turn = (): Promise<void> => (setImmediate ? new Promise((done) => setImmediate(done)) : byMessage())

/** Whose turn comes, in browsers: a timer of 0 waits 4 ms there. */
const waiting: (() => void)[] = []
let port: MessagePort | undefined

function byMessage(): Promise<void> {
  if (!port) {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => waiting.shift()?.()
    port = port2
  }
  port.postMessage(null)
  return new Promise((done) => waiting.push(done))
}

/** Milliseconds for which a loop that only waits for what is there keeps timers and the collector waiting. */
const longestJob = 10
let lastTurn = 0

/** `turn` where none was taken here for 10 ms; for what may be waited for in every step of a long loop. */
export function turnWhenDue(): Promise<void> | undefined {
  const now = performance.now()
  if (now - lastTurn < longestJob) return undefined
  lastTurn = now
  return turn()
}
