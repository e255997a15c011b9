/** What the scripts of the peers in JavaScript share: inputs, times, and the line that they print. */

/** The hash of ../hash-model.ts, uniform in [0, 1). */
function hash(index, seed) {
  let x = (Math.imul(index, 2654435761 | 0) + seed * 40503 + 12345) >>> 0
  for (let round = 0; round < 2; round++) x = Math.imul(x ^ (x >>> 16), 0x45d9f3b) >>> 0
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32
}

/** Values of an input of operation-cases.ts. */
export function valuesOf({ shape, low = -1, high = 1, below }, seed) {
  const length = shape.reduce((a, b) => a * b, 1)
  if (below !== undefined) return Int32Array.from({ length }, (_, i) => Math.floor(hash(i, seed) * below))
  return Float32Array.from({ length }, (_, i) => low + hash(i, seed) * (high - low))
}

/** Seed of the cotangent. */
export const COTANGENT = 100

/** Median over samples of a millisecond or more, of one call's milliseconds. */
export async function medianTime(body, milliseconds) {
  const sample = async (calls) => {
    const start = performance.now()
    for (let i = 0; i < calls; i++) {
      const pending = body()
      if (pending) await pending
    }
    return (performance.now() - start) / calls
  }
  const warm = performance.now() + milliseconds / 4
  let calls = 1
  do {
    calls = Math.max(1, Math.ceil(1 / (await sample(calls))))
  } while (performance.now() < warm)
  const end = performance.now() + milliseconds
  const times = []
  while (times.length < 5 || performance.now() < end) times.push(await sample(calls))
  return times.sort((a, b) => a - b)[times.length >> 1]
}

export const rootMeanSquare = (values) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)

export const largestMemory = () => Math.round(process.resourceUsage().maxRSS / 1024)

export function report(line) {
  console.log(JSON.stringify({ ...line, rss_mb: largestMemory() }))
  process.exit(0)
}
