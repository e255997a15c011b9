/** Every kernel through gpu.js: it translates to WGSL that compiles, keeps its places in integers, and computes the same. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { GPU } from 'gpu.js'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { create } from 'webgpu'
import { embedding, gather } from '../../kernels/indexing.ts'
import { type Cells, defineKernel, type Grid, type KernelThis } from '../../kernels/kernel.ts'
import { matmul } from '../../kernels/matmul.ts'
import { stridedCopy } from '../../kernels/movement.ts'
import { sumAxis } from '../../kernels/reduce.ts'
import { buildKernel, type GpujsMode, translateToWgsl } from '../../src/device/gpujs/gpujs.ts'
import { loadLibrary } from '../../src/device/gpujs/library.ts'
import { runPlain } from '../../src/device/plain.ts'
import { cellCount, everyKernel, expectCells, inFloat32 } from './launches.ts'

const kernels = await everyKernel()
const names = kernels.map((k) => [`${k.file} ${k.kernel.name}`, k] as const)
const modes: readonly GpujsMode[] = ['webasm', 'cpu']

/** Dawn without a GPU: its null backend checks WGSL and runs nothing. Held, since Dawn dies with it. */
let dawn: { gpu: ReturnType<typeof create>; device: GPUDevice }

beforeAll(async () => {
  await loadLibrary('test')
  const gpu = create(['backend=null'])
  dawn = { gpu, device: await (await gpu.requestAdapter())!.requestDevice() }
})

afterAll(() => dawn.device.destroy())

async function wgslErrors(code: string): Promise<string[]> {
  dawn.device.pushErrorScope('validation')
  const { messages } = await dawn.device.createShaderModule({ code }).getCompilationInfo()
  await dawn.device.popErrorScope()
  return messages.filter((m) => m.type === 'error').map((m) => `line ${m.lineNum}: ${m.message}`)
}

/** What stands between the parentheses that open at `open`. */
function inside(text: string, open: number): string {
  let depth = 0
  for (let i = open; i < text.length; i++) {
    if (text[i] === '(') depth++
    else if (text[i] === ')' && --depth === 0) return text.slice(open + 1, i)
  }
  throw new Error(`unbalanced: ${text.slice(open)}`)
}

/** The index expressions of all array reads. */
function indexExpressions(wgsl: string): string[] {
  const body = wgsl.slice(wgsl.indexOf('fn main'))
  return [...body.matchAll(/get_user_\w+(?=\()/g)].map((m) => inside(body, m.index + m[0].length))
}

/**
 * Float arithmetic in an index. WGSL does not mix types, so any of it on an integer shows as `f32(`. What was a float
 * before (a local, an array's element) may come in as `i32(float) | 0`, and only so.
 */
function floatIndex(expression: string): string | null {
  if (expression.includes('f32(')) return 'converts an integer to f32'
  const parameters = expression.replace(/params\.user_\w+/g, '').replace(/get_user_\w+/g, '')
  const integral = parameters.replace(/\(i32\(user_\w+\) \| 0\)/g, '')
  const local = /i32\((user_\w+)\)/.exec(integral)
  return local && !/^user_[ijk]$/.test(local[1]) ? `uses the local ${local[1]} as it is` : null
}

test('all kernels are found', () => {
  expect(kernels.length).toBeGreaterThan(60)
  expect(new Set(kernels.map((k) => k.kernel)).size).toBe(kernels.length)
})

describe('translation to WGSL', () => {
  test.each(names)('%s compiles', async (_, { kernel }) => {
    expect(await wgslErrors(translateToWgsl(kernel))).toEqual([])
  })

  test.each(names)('%s computes its places in integers', (_, { kernel }) => {
    const found = indexExpressions(translateToWgsl(kernel))
    expect(found.length).toBeGreaterThan(0)
    expect(found.map((e) => [e, floatIndex(e)]).filter(([, fault]) => fault)).toEqual([])
  })

  test('the checks see what they are there to see', async () => {
    const wrong = defineKernel(
      function wrong(this: KernelThis, x: Cells, n: number): number {
        const base = this.thread.y * n
        return x[base + this.thread.x] + x[base]
      },
      { x: 'array', n: 'integer' },
    )
    expect(indexExpressions(translateToWgsl(wrong)).map(floatIndex)).toEqual([
      'converts an integer to f32',
      'uses the local user_base as it is',
    ])
    const twice = defineKernel(
      function twice(this: KernelThis, x: Cells, n: number): number {
        let sum = 0
        for (let i = 0; i < n; i++) sum += x[i]
        for (let i = 0; i < n; i++) sum += x[i]
        return sum
      },
      { x: 'array', n: 'integer' },
    )
    expect(await wgslErrors(translateToWgsl(twice))).toEqual([expect.stringContaining("redeclaration of 'user_i'")])
  })
})

describe("gpu.js's own backends", () => {
  test.each(names)('%s computes the plain cells', (_, { kernel, draw, bound }) => {
    const built = modes.map((mode) => [mode, buildKernel(kernel, mode)] as const)
    fc.assert(
      fc.property(fc.gen(), (g) => {
        const { grid, parameters } = draw(g)
        const expected = new Float64Array(cellCount(grid))
        runPlain(kernel, expected, grid, parameters)
        for (const [mode, run] of built) {
          const got = new Float32Array(expected.length)
          run(got, grid, inFloat32(parameters))
          expectCells(got, Float32Array.from(expected), bound, mode)
        }
      }),
      { numRuns: 200 },
    )
  })
})

describe('what is relied on in gpu.js', () => {
  afterEach(() => vi.restoreAllMocks())

  test('the version is the one these facts are about', () => {
    const installed = readFileSync(new URL('../../node_modules/gpu.js/package.json', import.meta.url), 'utf8')
    expect(JSON.parse(installed).version).toBe('2.24.1')
    const own = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
    const { peerDependencies, peerDependenciesMeta, devDependencies } = JSON.parse(own)
    expect(peerDependencies['gpu.js']).toBe('2.24.1')
    expect(devDependencies['gpu.js']).toBe('2.24.1')
    // Nothing but a kernel of one's own needs it.
    expect(peerDependenciesMeta['gpu.js']).toEqual({ optional: true })
  })

  test('WGSL binds extents and scalars, then the arrays in order, then the result', () => {
    const wgsl = translateToWgsl(matmul)
    const struct = /struct Params \{([^}]*)\}/.exec(wgsl)![1]
    expect([...struct.matchAll(/(\w+) : ([\w<>]+)/g)].map(([, name, type]) => `${name} ${type}`)).toEqual([
      ...['outputX u32', 'outputY u32', 'outputZ u32', 'dispatchWidth u32'],
      ...['user_a_dims vec4<u32>', 'user_b_dims vec4<u32>'],
      ...['K', 'az', 'ay', 'ak', 'bz', 'bk', 'bx'].map((name) => `user_${name} i32`),
    ])
    expect([...wgsl.matchAll(/@binding\((\d)\) var<([^>]*)> (\w+)/g)].map((m) => m.slice(1).join(' '))).toEqual([
      '0 uniform params',
      '1 storage, read user_a',
      '2 storage, read user_b',
      '3 storage, read_write result',
    ])
    expect(wgsl).toContain('@workgroup_size(8, 8, 1)')
    expect(wgsl).toContain('const LOOP_MAX : i32 = 1073741824;')
  })

  test.each(modes)('loops on %s run past 1000', (mode) => {
    const output = new Float32Array(1)
    buildKernel(sumAxis, mode)(output, [1, 1, 1], [new Float32Array(2500).fill(1), 2500, 1])
    expect(output[0]).toBe(2500)
  })

  // 2^24 + 1 is the first integer that float32 does not hold: a float index reads the cell before.
  test.each(modes)('places on %s are exact past 2^24', (mode) => {
    const table = new Float32Array(2 ** 24 + 16)
    for (let i = 0; i < 16; i++) table[2 ** 24 + i] = i + 1
    const read = (
      kernel: Parameters<typeof buildKernel>[0],
      grid: Grid,
      parameters: (Float32Array | Int32Array | number)[],
    ) => {
      const output = new Float32Array(cellCount(grid))
      buildKernel(kernel, mode)(output, grid, parameters)
      return [...output]
    }
    const last = Int32Array.of(2 ** 20)
    expect(read(embedding, [3, 1, 1], [table, last, 16])).toEqual([1, 2, 3])
    expect(read(gather, [1, 1, 2 ** 20 + 1], [table, new Int32Array(2 ** 20 + 1).fill(3), 16, 1, 1]).at(-1)).toBe(4)
    expect(read(stridedCopy, [3, 1, 1], [table, 2 ** 24 + 1, 1, 1, 1, 0, 0, 0, 0, 0, 1])).toEqual([2, 3, 4])
    expect(read(stridedCopy, [1, 1, 4], [table, 2 ** 24, 1, 1, 4, 0, 0, 0, 1, 0, 0])).toEqual([1, 2, 3, 4])
  })

  test('a kernel that gpu.js runs on another backend is refused', () => {
    const elsewhere = new GPU({ mode: 'cpu' })
    const make = elsewhere.createKernel.bind(elsewhere)
    vi.spyOn(GPU.prototype, 'createKernel').mockImplementationOnce(make)
    const run = buildKernel(sumAxis, 'webasm')
    expect(() => run(new Float32Array(1), [1, 1, 1], [new Float32Array(1), 1, 1])).toThrow(
      /^gpujs device: kernel sumAxis was built for gpu.js's cpu backend, not webasm/,
    )
  })

  test('what gpu.js cannot return is refused', () => {
    const truth = defineKernel(
      function truth(this: KernelThis, x: Cells): number {
        return (x[this.thread.x] > 0) as unknown as number
      },
      { x: 'array' },
    )
    vi.spyOn(console, 'warn').mockImplementation(() => {})
    expect(() => buildKernel(truth)(new Float32Array(1), [1, 1, 1], [new Float32Array(1)])).toThrow(/Boolean/)
  })
})
