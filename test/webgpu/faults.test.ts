/** What goes wrong on a GPU, broken on purpose: each fault is told, nothing goes on with zeros, and runs can go on. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cells, defineKernel, type KernelThis } from '../../kernels/kernel.ts'
import type { Program } from '../../kernels/tuned/wgsl/program.ts'
import type { GpuBuffer } from '../../src/device/webgpu/buffer.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { DeviceFault } from '../../src/errors.ts'
import { tensor } from '../../src/index.ts'
import { train } from '../../src/train/trainer.ts'
import { alphabet, failure, remains, smallConfig, temporaryFolder } from '../train/small-run.ts'
import { describeWebgpu } from './adapter.ts'
import { onWebgpu, openWebgpu } from './launch.ts'

const root = resolve(import.meta.dirname, '../..')
/** Every fresh device compiles its programs anew, which takes SwiftShader half a minute for a model. */
const SLOW = 300_000
const on = { device: 'webgpu' } as const

/** Rejections that nobody handled: a fault must reach the program through its own calls, and only there. */
const unhandled: unknown[] = []
const note = (reason: unknown) => void unhandled.push(reason)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))
afterEach(async () => {
  await new Promise((done) => setTimeout(done, 20))
  expect(unhandled.splice(0)).toEqual([])
})

describeWebgpu('a device that is lost', () => {
  const lostMessage = /webgpu device: the GPU is lost: it was destroyed; its tensors are gone, await device\('webgpu'\)/

  test('rejects the reads under way and refuses every later call, saying why', async () => {
    const gpu = await openWebgpu()
    const x = tensor([1, 2, 3], on)
    const submitted = x.exp().data()
    await Promise.resolve()
    const reads = [submitted, x.mul(2).data(), x.sum().item()]
    const outcomes = Promise.allSettled(reads)
    gpu.gpu.destroy()
    for (const outcome of await outcomes) {
      expect(outcome.status).toBe('rejected')
      const { reason } = outcome as PromiseRejectedResult
      expect(reason).toBeInstanceOf(DeviceFault)
      expect(reason.message).toMatch(lostMessage)
    }
    expect(gpu.lost).toMatch(/the GPU is lost/)
    expect(() => x.mul(2)).toThrow(lostMessage)
    expect(() => tensor([1], on)).toThrow(lostMessage)
    await expect(x.data()).rejects.toThrow(lostMessage)
    await expect(gpu.finish()).rejects.toThrow(lostMessage)
    // Giving memory back stays possible: scopes and models are disposed of after a fault.
    x.dispose()
  })

  test('is told to a program that waits for its work', async () => {
    const gpu = await openWebgpu()
    tensor([1, 2, 3], on).exp()
    const finished = gpu.finish()
    gpu.gpu.destroy()
    const outcome = await finished.then(
      () => undefined,
      (error: Error) => error,
    )
    // The work may have been done before; whatever comes next is refused.
    if (outcome) expect(outcome.message).toMatch(lostMessage)
    await expect(gpu.finish()).rejects.toThrow(lostMessage)
  })

  test('is opened afresh by its name', async () => {
    const gpu = await openWebgpu()
    gpu.gpu.destroy()
    await gpu.gpu.lost
    const fresh = await openWebgpu()
    expect(fresh).not.toBe(gpu)
    expect(fresh.lost).toBeUndefined()
    expect(await tensor([1, 2, 3], on).mul(2).array()).toEqual([2, 4, 6])
  })
})

describeWebgpu('training on a device that is lost', () => {
  const config = smallConfig({ steps: 4, checkpointEvery: 2, evaluateEvery: 4, model: { dropout: 0.1 } })
  const given = { text: alphabet, config, device: 'webgpu' }

  test(
    'stops with its last checkpoint named, and ends with the bits of a run never disturbed',
    async () => {
      await openWebgpu()
      const whole = await train({ ...given, folder: await temporaryFolder() })
      const expected = await remains(whole)
      whole.model.dispose()

      const folder = await temporaryFolder()
      const gpu = await openWebgpu()
      const run = train({ ...given, folder, onStep: ({ step }) => void (step === 3 && gpu.gpu.destroy()) })
      const error = await failure(run)
      expect(error).toBeInstanceOf(DeviceFault)
      expect(error.message).toMatch(/^train: the run stopped after step 3: .*the GPU is lost: it was destroyed/)
      expect(error.message).toContain(`the last checkpoint is ${join(folder, 'checkpoints')}`)
      expect(error.message).toMatch(/0*2\.safetensors/)
      expect(error.message).toContain(`go on from it with: sluice train --resume ${folder} --device webgpu`)

      await openWebgpu()
      const resumed = await train({ text: alphabet, folder, resume: true, device: 'webgpu' })
      expect(await remains(resumed)).toEqual(expected)
      resumed.model.dispose()
    },
    SLOW,
  )

  test('without a checkpoint, says that there is none', async () => {
    const gpu = await openWebgpu()
    const run = train({ ...given, onStep: () => gpu.gpu.destroy() })
    expect((await failure(run)).message).toMatch(/the run stopped after step 1: .*; there is no checkpoint yet/)
  })

  test('out of memory, names the checkpoint too', async () => {
    const gpu = await openWebgpu()
    const folder = await temporaryFolder()
    const run = train({
      ...given,
      folder,
      onStep: ({ step }) => {
        if (step === 3) {
          failAllocation(gpu)
          gpu.allocate('float32', 999_983)
        }
      },
    })
    const { message } = await failure(run)
    expect(message).toMatch(/the run stopped after step \d: webgpu device: out of memory: asked for 3999932 bytes/)
    expect(message).toMatch(/the last checkpoint is .*2\.safetensors; go on from it with: sluice train --resume/)
  })
})

/** Has the next buffer's error scope answer as a GPU does that has no memory left. */
function failAllocation(gpu: WebGpuDevice): void {
  const { gpu: raw } = gpu
  const pop = raw.popErrorScope.bind(raw)
  raw.popErrorScope = async () => {
    raw.popErrorScope = pop
    await pop()
    return { message: 'not enough memory left' } as GPUOutOfMemoryError
  }
}

describeWebgpu('out of memory', () => {
  test('more than one buffer holds is refused at once, and the device goes on', async () => {
    const gpu = await openWebgpu()
    const largest = Math.min(gpu.gpu.limits.maxBufferSize, gpu.gpu.limits.maxStorageBufferBindingSize)
    const length = Math.floor(largest / 4) + 1
    expect(() => gpu.allocate('float32', length)).toThrow(
      `out of memory: asked for ${4 * length} bytes; one buffer of this adapter holds at most ${largest - (largest % 4)}`,
    )
    expect(gpu.lost).toBeUndefined()
    expect(await tensor([1, 2], on).sum().item()).toBe(3)
  })

  test('known late, it tells the bytes asked, held and freed, and the device is opened afresh', async () => {
    const gpu = await openWebgpu()
    const free = tensor([1, 2, 3], on)
    free.dispose()
    const { heldBytes, blocks } = gpu.pool.statistics
    failAllocation(gpu)
    const buffer = gpu.allocate('float32', 999_999)
    const message = await failure(gpu.read(buffer)).then((error) => error.message)
    expect(message).toMatch(/out of memory: asked for 3999996 bytes/)
    expect(message).toContain(`held: ${heldBytes} bytes in ${blocks} buffers`)
    expect(message).toMatch(
      /of these free for reuse: \d+; freed now, too late for this run: \d+\); use a smaller batch/,
    )
    expect(gpu.pool.statistics.freeBytes).toBe(0)
    expect(gpu.lost).toMatch(/out of memory/)
    const fresh = await openWebgpu()
    expect(fresh).not.toBe(gpu)
    expect(await tensor([1, 2], on).sum().item()).toBe(3)
  })

  test('buffers freed while the unfinished batch uses them are there when it runs', async () => {
    const gpu = await openWebgpu()
    const x = tensor([1, 2, 3], on)
    const y = x.mul(2).add(1)
    const z = y.sum()
    x.dispose()
    y.dispose()
    expect(gpu.pool.trim()).toBeGreaterThan(0)
    expect(await z.item()).toBe(15)
  })
})

/** gpu.js counts in floats where a loop begins at an argument, and WGSL has no ++ for them. */
const counting = defineKernel(
  function counting(this: KernelThis, x: Cells, first: number) {
    let sum = 0
    for (let i = first; i < 4; i++) {
      sum += x[this.thread.x]
    }
    return sum
  },
  { x: 'array', first: 'float' },
)

const doubled = { reads: { x: 'f32' }, writes: { y: 'f32' }, parameters: {} } as const

describeWebgpu('a kernel', () => {
  test('that does not compile is told with its name, its JavaScript and its line of WGSL', async () => {
    const gpu = await openWebgpu()
    const broken: Program = {
      ...doubled,
      name: 'doubled',
      code: '@compute @workgroup_size(1)\nfn main() {\n  y[0] = x[0] * twoo;\n}',
      source: 'function doubled(x) { return x[this.thread.x] * twoo }',
    }
    const [x, y] = [gpu.allocate('float32', 4), gpu.allocate('float32', 4)]
    gpu.write(x, [1, 2, 3, 4])
    gpu.dispatch(broken, { x, y }, {}, [1, 1, 1])
    const { message } = await failure(gpu.read(y))
    expect(message).toMatch(/webgpu device: kernel doubled does not compile: WGSL line \d+: .*twoo/)
    expect(message).toMatch(/^ {2}> +\d+ {3}y\[0\] = x\[0\] \* twoo;$/m)
    expect(message).toContain('made from:\nfunction doubled(x) { return x[this.thread.x] * twoo }')
    await openWebgpu()
  })

  test('that gpu.js translates to what WGSL does not take is told with its JavaScript', async () => {
    const gpu = await openWebgpu()
    const launched = onWebgpu(gpu, counting, [4, 1, 1], [Float32Array.of(1, 2, 3, 4), 1])
    const { message } = await failure(launched)
    expect(message).toMatch(/webgpu device: kernel counting does not compile: WGSL line \d+: /)
    expect(message).toMatch(/^ {2}> +\d+ .*\+\+/m)
    expect(message).toMatch(/made from:\nfunction counting\(x, first\) \{/)
    await openWebgpu()
  })

  test('whose commands are refused rejects the read, and gives no zeros', async () => {
    const gpu = await openWebgpu()
    const sound: Program = {
      ...doubled,
      name: 'sound',
      code: '@compute @workgroup_size(1) fn main() { y[0] = x[0] * 2; }',
    }
    const x = gpu.allocate('float32', 4)
    gpu.write(x, [1, 2, 3, 4])
    // One buffer read and written in one dispatch: WebGPU refuses the whole batch.
    gpu.dispatch(sound, { x, y: x }, {}, [1, 1, 1])
    const y = gpu.allocate('float32', 4)
    gpu.dispatch(sound, { x, y }, {}, [1, 1, 1])
    const { message } = await failure(gpu.read(y as GpuBuffer))
    expect(message).toMatch(/webgpu device: commands were refused: /)
    // It stays: nothing that comes after can be trusted.
    await expect(gpu.read(x)).rejects.toThrow(/commands were refused/)
    expect(() => gpu.allocate('float32', 4)).toThrow(/commands were refused/)
    await openWebgpu()
  })
})

describe('programs of their own', () => {
  let folder: string
  const built = join(root, '.cache', `faults-test-${process.pid}`)
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-faults-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  beforeAll(async () => {
    await build({
      entryPoints: { main: join(root, 'src/cli/main.ts'), index: join(root, 'src/index.ts') },
      bundle: true,
      splitting: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      // Beside node_modules, where the programs find their packages.
      outdir: built,
      logLevel: 'error',
    })
  })
  afterAll(() => rm(built, { recursive: true, force: true }))

  interface Outcome {
    readonly code: number
    readonly stdout: string
    readonly stderr: string
  }

  async function run(given: string[], environment: Record<string, string> = {}): Promise<Outcome> {
    const options = { cwd: folder, env: { ...process.env, ...environment }, timeout: 200_000 }
    return promisify(execFile)(process.execPath, given, options).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: Outcome) => error,
    )
  }

  test('are told what was tried and what to install where no adapter answers', async () => {
    const program = `
      const { device } = await import(${JSON.stringify(join(built, 'index.js'))})
      await device('webgpu').then(() => console.log('opened'), (error) => console.log(error.message))
      console.log((await device('auto')).name)`
    const { code, stdout } = await run(['--input-type=module', '--eval', program], { VK_DRIVER_FILES: '/nowhere.json' })
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^webgpu device: Dawn \(webgpu [\d.]+\) found no adapter \(VK_DRIVER_FILES names \/nowhere.json\)/,
    )
    expect(stdout).toMatch(/install the GPU's driver/)
    expect(stdout).toMatch(/\ncpu\n$/)
  })

  describeWebgpu('with an adapter', () => {
    test('end by themselves with a device open', async () => {
      const program = `
        const { device, tensor } = await import(${JSON.stringify(join(built, 'index.js'))})
        await device('webgpu')
        console.log(await tensor([1, 2, 3], { device: 'webgpu' }).exp().log().sum().item())`
      const started = performance.now()
      const { code, stdout } = await run(['--input-type=module', '--eval', program])
      expect([code, Math.round(Number(stdout))]).toEqual([0, 6])
      // Well below the limit of the run, which would have killed it.
      expect(performance.now() - started).toBeLessThan(30_000)
    })

    test(
      'sluice train leaves its checkpoint, names it with the command, and the command goes on',
      async () => {
        const config = {
          ...smallConfig({ steps: 4, checkpointEvery: 1, evaluateEvery: 4 }),
          data: { text: 'text.txt' },
        }
        await writeFile(join(folder, 'text.txt'), alphabet)
        await writeFile(join(folder, 'config.json'), JSON.stringify(config))
        // Loses the device after so many submits: past the first checkpoint, before the last step.
        const breaking = `
        import { globals } from 'webgpu'
        const { requestDevice } = globals.GPUAdapter.prototype
        globals.GPUAdapter.prototype.requestDevice = async function (...given) {
          const device = await requestDevice.apply(this, given)
          const { queue } = device
          const submit = queue.submit.bind(queue)
          let count = 0
          Object.defineProperty(device, 'queue', { value: new Proxy(queue, {
            get(target, name) {
              if (name === 'submit') return (list) => { submit(list); if (++count === SUBMITS) device.destroy() }
              const value = target[name]
              return typeof value === 'function' ? value.bind(target) : value
            },
          }) })
          return device
        }`
        const main = join(built, 'main.js')
        const options = ['train', '--data', 'text.txt', '--config', 'config.json', '--device', 'webgpu']
        const preload = join(built, 'breaking.mjs')
        await writeFile(preload, breaking.replace('SUBMITS', '14'))
        const broken = await run(['--import', preload, main, ...options, '--name', 'broken'])
        expect(broken.code).toBe(1)
        expect(broken.stderr).toMatch(/train: the run stopped after step \d: .*the GPU is lost: it was destroyed/)
        expect(broken.stderr).toMatch(/the last checkpoint is runs\/broken\/checkpoints\/\S+\.safetensors/)
        const command = /go on from it with: sluice (train --resume runs\/broken --device webgpu)/.exec(broken.stderr)
        expect(command).not.toBeNull()
        const resumed = await run([main, ...command![1].split(' ')])
        expect(resumed.code).toBe(0)
        expect(resumed.stdout).toMatch(/^4 steps on webgpu: held-out loss \d/)
        // The bits of the resumed run are those of one never disturbed: shown above, in one process.
      },
      SLOW,
    )
  })
})
