/** The worker's program: the engine, joined to the page. */
import '../../../src/ops/methods.ts'
import { Engine } from './engine.ts'
import type { PageMessage } from './protocol.ts'

/** What a worker has; the types at hand are those of a page. */
interface WorkerScope {
  postMessage(message: unknown, given: Transferable[]): void
  onmessage: ((event: MessageEvent<PageMessage>) => void) | null
}

const scope = globalThis as unknown as WorkerScope

// A timer of 0 waits 4 ms in browsers, longer than a step may take.
const { port1, port2 } = new MessageChannel()
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    port1.onmessage = () => resolve()
    port2.postMessage(null)
  })

const engine = new Engine((message, given) => scope.postMessage(message, given), turn)
scope.onmessage = ({ data }) => engine.receive(data)
engine.run()
