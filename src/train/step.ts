/** One step of training: forward, backward, clipping, update. */
import { capture } from '../autograd/capture.ts'
import type { Transformer } from '../nn/index.ts'
import { clipGradNorm, type Optimizer } from '../optim/index.ts'
import { tensor } from '../tensor/create.ts'
import { defaultGenerator, type GeneratorState } from '../tensor/random.ts'
import { scope, type Tensor } from '../tensor/tensor.ts'
import type { TrainConfig } from './config.ts'
import type { RunData } from './data.ts'
import type { TokenBatch } from './text.ts'

/** What a step says of itself: mean loss in nats, and the norm of the gradient before clipping. */
export interface StepValues {
  readonly loss: number
  readonly norm: number
}

/** What a step works with. */
export interface Trained {
  readonly config: TrainConfig
  readonly data: RunData
  readonly model: Transformer
  readonly optimizer: Optimizer
  readonly parameters: ReadonlyMap<string, Tensor>
  /** Place in the stream of initial weights and dropout. */
  random: GeneratorState
}

/** Runs `body` with the default generator at the stream's place, and gives it back where the program had it. */
export function drawing<R>(stream: { random: GeneratorState }, body: () => R): R {
  const outside = defaultGenerator.state
  defaultGenerator.state = stream.random
  try {
    return body()
  } finally {
    stream.random = defaultGenerator.state
    defaultGenerator.state = outside
  }
}

/** Forward, backward and clipping. Gradients stay with the parameters; both results have shape []. */
function gradients({ config, data, model, parameters }: Trained, x: Tensor, y: Tensor): [Tensor, Tensor] {
  const loss = model.loss(x, y, { ignoreIndex: data.ignoreIndex, training: true })
  loss.backward()
  return [loss.detach(), clipGradNorm([...parameters.values()], config.clip ?? Number.POSITIVE_INFINITY)]
}

const tensorsOf = ({ model }: Trained, { inputs, targets, B, T }: TokenBatch): Tensor[] =>
  [inputs, targets].map((ids) => tensor(ids, { shape: [B, T], device: model.device }))

async function read([loss, norm]: readonly Tensor[]): Promise<StepValues> {
  const values = { loss: await loss.item(), norm: await norm.item() }
  loss.dispose()
  norm.dispose()
  return values
}

/** Forward, backward and clipping, launch by launch. The gradients stay with the parameters. */
function gradientsNow(trained: Trained, batch: TokenBatch): Promise<StepValues> {
  const results = drawing(trained, () =>
    scope(() => {
      const [x, y] = tensorsOf(trained, batch)
      return gradients(trained, x, y)
    }),
  )
  return read(results)
}

const isFine = ({ loss, norm }: StepValues): boolean => Number.isFinite(loss) && Number.isFinite(norm)

/** Steps of training. */
export interface Stepper {
  run(batch: TokenBatch): Promise<StepValues>
  /** Frees what it keeps between steps. */
  dispose(): void
}

/**
 * Steps that leave the weights as they were, and the gradients with the parameters, when loss or gradient are not finite.
 *
 * They are captured, the update included, so that nothing is waited for within a step, where the optimizer can be told on the
 * device to do nothing; elsewhere the host looks before the update.
 */
export function stepProgram(trained: Trained): Stepper {
  return trained.optimizer.guarded ? capturedSteps(trained) : plainSteps(trained)
}

function plainSteps(trained: Trained): Stepper {
  const run = async (batch: TokenBatch): Promise<StepValues> => {
    const values = await gradientsNow(trained, batch)
    if (isFine(values)) {
      trained.optimizer.step()
      trained.optimizer.zeroGrad()
    }
    return values
  }
  return { run, dispose() {} }
}

function capturedSteps(trained: Trained): Stepper {
  const { optimizer } = trained
  const step = capture((x: Tensor, y: Tensor) => {
    const [loss, norm] = gradients(trained, x, y)
    // Not finite if the loss is not, whatever its gradient is.
    optimizer.step(norm.add(loss.mul(0)))
    optimizer.zeroGrad()
    return [loss, norm]
  })
  const run = async (batch: TokenBatch): Promise<StepValues> => {
    const { random } = trained
    const [x, y] = tensorsOf(trained, batch)
    const results = drawing(trained, () => step(x, y))
    x.dispose()
    y.dispose()
    const values = await read(results)
    if (isFine(values)) return values
    // Once more with the same draws, for the gradients: the weights are still those of before.
    trained.random = random
    return gradientsNow(trained, batch)
  }
  return { run, dispose: step.dispose }
}
