/**
 * What is trained in every environment: a gated-attention and a Gated DeltaNet model, eagerly and captured, and read back from
 * what was saved of them. Plain JavaScript that imports the package by its name, as a user's program does.
 */
import { capture, Generator, manualSeed, scope, tensor } from 'sluice'
import { Transformer } from 'sluice/nn'
import { AdamW, clipGradNorm, decayGroups } from 'sluice/optim'

const steps = 4

/** Wide enough that a step is worth several threads. */
const shape = { vocabularySize: 32, width: 64, layers: 2, heads: 4, contextLength: 16 }
const models = {
  attention: { ...shape, gate: 'elementwise' },
  delta: { ...shape, fullAttentionInterval: 0 },
}
const [B, T] = [2, 16]

/** Each sequence counts up by a number of its own: learnable, and other tokens at every step. */
function batch(step) {
  const at = (b, t) => (b + step + (b + 1) * t) % shape.vocabularySize
  const ids = (ahead) => Int32Array.from({ length: B * T }, (_, i) => at(Math.floor(i / T), (i % T) + ahead))
  return [tensor(ids(0), { shape: [B, T] }), tensor(ids(1), { shape: [B, T] })]
}

/** Multiplies every number of a model by 1 + moved or 1 - moved. */
async function moveWeights(model, generator, moved) {
  const state = await model.stateDict()
  for (const { data } of state.values()) {
    const coins = generator.uniform(data.length)
    for (let i = 0; i < data.length; i++) data[i] *= 1 + (coins[i] < 0.5 ? -moved : moved)
  }
  model.loadStateDict(state)
}

/** Trains a model from the same start. */
async function train(config, { isCaptured = false, moved = 0, seed = 0 } = {}) {
  manualSeed(1)
  const model = new Transformer(config)
  const optimizer = new AdamW(decayGroups(model, 0.1), { lr: 1e-2 })
  const step = (tokens, targets) => {
    const loss = model.loss(tokens, targets)
    loss.backward()
    clipGradNorm(model.parameters(), 1)
    optimizer.step()
    optimizer.zeroGrad()
    return loss.detach()
  }
  const run = isCaptured ? capture(step) : (...given) => scope(() => step(...given))
  const generator = new Generator(seed)
  const losses = []
  for (let i = 0; i < steps; i++) {
    if (moved > 0) await moveWeights(model, generator, moved)
    const given = batch(i)
    const loss = run(...given)
    losses.push(await loss.item())
    for (const t of [...given, loss]) t.dispose()
  }
  if (isCaptured) run.dispose()
  optimizer.dispose()
  return { model, losses }
}

/** The loss of a model without training it. */
async function lossOf(model) {
  const given = batch(steps)
  const loss = scope(() => model.loss(...given).detach())
  const value = await loss.item()
  for (const t of [...given, loss]) t.dispose()
  return value
}

/**
 * The losses of each model: eager, captured, and after the weights were saved and read.
 *
 * @param saveAndRead gives back what it wrote of `{ name, tensors }`, from what it reads
 */
export async function trainAndSave(saveAndRead) {
  const found = {}
  for (const [name, config] of Object.entries(models)) {
    const eager = await train(config)
    const captured = await train(config, { isCaptured: true })
    const saved = await lossOf(captured.model)
    const other = new Transformer(config)
    other.loadStateDict(await saveAndRead({ name, tensors: await captured.model.stateDict() }))
    found[name] = {
      eager: [...eager.losses, await lossOf(eager.model)],
      captured: [...captured.losses, saved],
      read: await lossOf(other),
    }
    for (const { model } of [eager, captured, { model: other }]) model.dispose()
  }
  return found
}

/** The eager losses of each model on the default device, with its weights moved before each step. */
export async function trainMoved(moved, seed) {
  const found = {}
  for (const [name, config] of Object.entries(models)) {
    const { model, losses } = await train(config, { moved, seed })
    found[name] = [...losses, await lossOf(model)]
    model.dispose()
  }
  return found
}
