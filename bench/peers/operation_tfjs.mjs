/**
 * One case of operation-cases.ts in TF.js, on its wasm backend: prints a line of JSON. Run it where TF.js is installed.
 *
 *   node operation_tfjs.mjs '{"case": {…}, "time": 300, "threads": 1}'
 */
import { createRequire } from 'node:module'
import { COTANGENT, largestMemory, medianTime, report, rootMeanSquare, valuesOf } from './operation_peer.mjs'

const require = createRequire(`${process.cwd()}/package.json`)
const { case: given, time, threads } = JSON.parse(process.argv[2])
const tf = require('@tensorflow/tfjs')
const wasm = require('@tensorflow/tfjs-backend-wasm')
wasm.setThreadsCount(threads)
wasm.setWasmPaths(require.resolve('@tensorflow/tfjs-backend-wasm').replace(/[^/]*$/, ''))
await tf.setBackend('wasm')
await tf.ready()

const swapped = (x) => tf.transpose(x, x.rank === 2 ? [1, 0] : [0, 1, 3, 2])

/** Helped: its own gradient transposes in the kernel, which is 3 to 5 times slower. */
const product = tf.customGrad((a, b, save) => {
  save([a, b])
  const gradFunc = (dy, [x, y]) => [tf.matMul(dy, swapped(y)), tf.matMul(swapped(x), dy)]
  return { value: tf.matMul(a, b), gradFunc }
})

/** Helped: the gradient of its gather has no kernel here, so it goes back through a product. */
const lookUp = tf.customGrad((table, tokens, save) => {
  save([tokens])
  const [rows] = table.shape
  const gradFunc = (dy, [indices]) => {
    const flat = tf.reshape(dy, [-1, table.shape[1]])
    return [tf.matMul(swapped(tf.oneHot(tf.reshape(indices, [-1]), rows).cast('float32')), flat), tf.zerosLike(indices)]
  }
  return { value: tf.gather(table, tokens), gradFunc }
})

function gelu(x) {
  const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI))
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1))
}

function attention(q, k, v) {
  const [, T, , D] = q.shape
  const heads = (x) => tf.transpose(x, [0, 2, 1, 3])
  const mask = tf.tensor2d(
    Float32Array.from({ length: T * T }, (_, i) => (i % T > Math.floor(i / T) ? -1e9 : 0)),
    [T, T],
  )
  const scores = tf.mul(product(heads(q), swapped(heads(k))), D ** -0.5)
  return heads(product(tf.softmax(tf.add(scores, mask)), heads(v)))
}

const operations = {
  matmul: product,
  add: tf.add,
  gelu,
  softmax: (x) => tf.softmax(x),
  crossEntropy: (logits, targets) =>
    tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits, -1), tf.oneHot(targets, logits.shape[1]).cast('float32')), -1))),
  rmsNorm: (x, weight) => tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-5))), weight),
  attention,
  embedding: lookUp,
}

const rssAtStart = largestMemory()
const inputs = given.inputs.map((input, i) =>
  tf.tensor(valuesOf(input, i + 1), input.shape, input.below === undefined ? 'float32' : 'int32'),
)
const lib = `tfjs-${tf.version.tfjs}-wasm`
const common = { lib, rss_start_mb: rssAtStart }

if (given.operation === 'adamW') {
  const [b1, b2, lr, eps, decay] = [0.9, 0.95, 1e-3, 1e-8, 0.1]
  const parameter = tf.variable(inputs[0])
  const [m, v] = [tf.variable(tf.zerosLike(parameter)), tf.variable(tf.zerosLike(parameter))]
  let steps = 0
  const step = () =>
    tf.tidy(() => {
      steps++
      m.assign(tf.add(tf.mul(m, b1), tf.mul(inputs[1], 1 - b1)))
      v.assign(tf.add(tf.mul(v, b2), tf.mul(tf.square(inputs[1]), 1 - b2)))
      const root = tf.add(tf.sqrt(tf.div(v, 1 - b2 ** steps)), eps)
      parameter.assign(tf.sub(tf.mul(parameter, 1 - lr * decay), tf.div(tf.mul(m, lr / (1 - b1 ** steps)), root)))
    })
  step()
  const checks = [rootMeanSquare(parameter.dataSync())]
  report({ ...common, checks, forward: await medianTime(step, time), both: null })
} else {
  const operation = operations[given.operation]
  const isFloat = ({ below }) => below === undefined
  const targets = inputs.filter((_, i) => isFloat(given.inputs[i]))
  const cotangent = given.result ? tf.tensor(valuesOf({ shape: given.result }, COTANGENT), given.result) : tf.scalar(1)
  const withIntegers = (floats) => {
    const rest = [...floats]
    return operation(...inputs.map((input, i) => (isFloat(given.inputs[i]) ? rest.shift() : input)))
  }
  const gradients = tf.valueAndGrads((...floats) => withIntegers(floats))
  const forward = () => operation(...inputs).dispose()
  const both = () => {
    const { value, grads } = gradients(targets, cotangent)
    return [value, ...grads]
  }
  const tidied = (body) => () => {
    tf.tidy(() => {
      body()
    })
  }
  const results = both()
  const checks = results.map((t) => rootMeanSquare(t.dataSync()))
  for (const t of results) t.dispose()
  report({
    ...common,
    checks,
    forward: await medianTime(tidied(forward), time),
    both: await medianTime(tidied(both), time),
  })
}
