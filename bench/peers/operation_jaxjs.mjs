/**
 * One case of operation-cases.ts in jax-js, compiled by its `jit` for wasm: prints a line of JSON. Run it where jax-js is
 * installed, beside the peers' `webworker_shim.mjs`, which gives it threads in Node.
 *
 *   node operation_jaxjs.mjs '{"case": {…}, "time": 300, "threads": 2}'
 */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { COTANGENT, largestMemory, medianTime, report, rootMeanSquare, valuesOf } from './operation_peer.mjs'

const { case: given, time, threads } = JSON.parse(process.argv[2])
if (threads > 1) {
  await import(pathToFileURL(`${process.cwd()}/webworker_shim.mjs`).href)
  Object.defineProperty(globalThis, 'navigator', { value: { hardwareConcurrency: threads }, configurable: true })
}
const root = `${process.cwd()}/node_modules/@jax-js/jax/`
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
const jax = await import(pathToFileURL(`${root}dist/index.js`).href)
const { numpy: np, nn } = jax
await jax.init('wasm')
jax.defaultDevice('wasm')

// Arguments are used up by what takes them; `.ref` keeps one for another use.
const operations = {
  matmul: (a, b) => np.matmul(a, b),
  add: (a, b) => a.add(b),
  gelu: (x) => nn.gelu(x, { approximate: true }),
  softmax: (x) => nn.softmax(x, -1),
  crossEntropy: (logits, targets) => {
    const rows = nn.oneHot(targets, logits.shape[1]).astype(np.float32)
    return np.mean(np.sum(nn.logSoftmax(logits, -1).mul(rows), -1)).mul(-1)
  },
  rmsNorm: (x, weight) => {
    const scale = np.reciprocal(np.sqrt(np.mean(np.square(x.ref), -1, { keepdims: true }).add(1e-5)))
    return x.mul(scale).mul(weight)
  },
  attention: (q, k, v) => nn.dotProductAttention(q, k, v, { isCausal: true }),
  embedding: (table, tokens) => np.take(table, tokens, 0),
}

const rssAtStart = largestMemory()
const inputs = given.inputs.map((input, i) =>
  np.array(valuesOf(input, i + 1), { dtype: input.below === undefined ? np.float32 : np.int32 }).reshape(input.shape),
)
const common = { lib: `jax-js-${version}-wasm`, rss_start_mb: rssAtStart }
const kept = (arrays) => arrays.map((array) => array.ref)
const finished = async (arrays) => {
  await jax.blockUntilReady(arrays)
  for (const array of arrays) array.dispose()
}
const checksOf = async (arrays) => {
  const checks = []
  for (const array of arrays) checks.push(rootMeanSquare(await array.data()))
  return checks
}

if (given.operation === 'adamW') {
  const [b1, b2, lr, eps, decay] = [0.9, 0.95, 1e-3, 1e-8, 0.1]
  const step = jax.jit((p, g, m, v, c1, c2) => {
    const nextM = m.mul(b1).add(g.ref.mul(1 - b1))
    const nextV = v.mul(b2).add(np.square(g).mul(1 - b2))
    const change = nextM.ref
      .mul(lr)
      .div(c1)
      .div(np.sqrt(nextV.ref.div(c2)).add(eps))
    return [p.mul(1 - lr * decay).sub(change), nextM, nextV]
  })
  let state = [inputs[0], np.zeros(given.inputs[0].shape), np.zeros(given.inputs[0].shape)]
  let steps = 0
  const run = async () => {
    steps++
    const [p, m, v] = state
    state = step(p, inputs[1].ref, m, v, np.array(1 - b1 ** steps), np.array(1 - b2 ** steps))
    await jax.blockUntilReady(state)
  }
  await run()
  const checks = await checksOf([state[0].ref])
  report({ ...common, checks, forward: await medianTime(run, time), both: null })
} else {
  const operation = operations[given.operation]
  const compiled = given.eager ? (body) => body : (body) => jax.jit(body)
  const isFloat = ({ below }) => below === undefined
  const places = given.inputs.map((_, i) => i).filter((i) => isFloat(given.inputs[i]))
  const cotangent = given.result
    ? np.array(valuesOf({ shape: given.result }, COTANGENT), { dtype: np.float32 }).reshape(given.result)
    : np.array(1)
  const forward = compiled((...all) => [operation(...all)])
  const both = compiled((dy, ...all) => {
    const floats = places.map((i) => all[i])
    const [value, back] = jax.vjp((...given) => {
      const rest = [...given]
      return operation(...all.map((x, i) => (places.includes(i) ? rest.shift() : x)))
    }, floats)
    const found = back(dy)
    back.dispose?.()
    return [value, ...found]
  })
  const runForward = () => finished(forward(...kept(inputs)))
  const runBoth = () => finished(both(cotangent.ref, ...kept(inputs)))
  const checks = await checksOf(both(cotangent.ref, ...kept(inputs)))
  report({ ...common, checks, forward: await medianTime(runForward, time), both: await medianTime(runBoth, time) })
}
