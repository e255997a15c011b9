/** The worker's program: the engine, joined to the page. */
import '../../../src/ops/methods.ts'
import { turn } from '../../../src/turn.ts'
import { Engine } from './engine.ts'
import type { PageMessage } from './protocol.ts'

/** What a worker has; the types at hand are those of a page. */
interface WorkerScope {
  postMessage(message: unknown, given: Transferable[]): void
  onmessage: ((event: MessageEvent<PageMessage>) => void) | null
}

const scope = globalThis as unknown as WorkerScope

const engine = new Engine((message, given) => scope.postMessage(message, given), turn)
scope.onmessage = ({ data }) => engine.receive(data)
engine.run()
