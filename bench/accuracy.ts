/**
 * `npm run accuracy`: how exact every elementwise function, sum and product is on every device, as `docs/accuracy.md` and
 * `bench/results/accuracy.json`, which the tests hold the kernels to.
 *
 * Each device and variant is measured in a process of its own, since how a device runs is read from the environment.
 */
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { oneArgument, twoArguments } from '../src/check/index.ts'
import { device as readyDevice } from '../src/index.ts'
import { describeDevice, measureFunctions } from './accuracy/functions.ts'
import { accuracyPage, type DeviceAccuracy } from './accuracy/page.ts'
import { measureSums } from './accuracy/sums.ts'
import { showMachine, thisMachine } from './machine.ts'
import { positiveInteger } from './options.ts'

const results = 'bench/results/accuracy.json'

const { values } = parseArgs({
  options: {
    /** Of the cpu device; 799 looks at 5.4 million numbers. */
    stride: { type: 'string', default: '799' },
    /** Of webgpu, where software drivers are slow. Both strides divide that of the tests. */
    'webgpu-stride': { type: 'string', default: '1037' },
    /** NAME=FILE: a Vulkan driver description, for a column of its own. */
    driver: { type: 'string', multiple: true, default: [] },
    /** Measures no other columns than these ('cpu plain,webgpu lavapipe') and keeps what was found of the others. */
    only: { type: 'string' },
    /** Measures this device in this process and prints JSON; for the command itself. */
    one: { type: 'string' },
  },
})

async function measure(name: string): Promise<DeviceAccuracy> {
  const [deviceName] = name.split(' ')
  const stride = positiveInteger('stride', values.stride)
  return {
    name,
    description: describeDevice(await readyDevice(deviceName)),
    stride,
    functions: await measureFunctions(deviceName, stride),
    sums: await measureSums(deviceName),
  }
}

interface Column {
  readonly name: string
  readonly stride: string
  readonly environment: Record<string, string>
}

function inProcess({ name, stride, environment }: Column): DeviceAccuracy {
  console.error(`${name} …`)
  const self = fileURLToPath(import.meta.url)
  const printed = execFileSync(process.execPath, [self, '--one', name, '--stride', stride], {
    env: { ...process.env, ...environment },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 26,
  })
  return JSON.parse(printed) as DeviceAccuracy
}

if (values.one) {
  console.log(JSON.stringify(await measure(values.one)))
} else {
  const columns: Column[] = ['plain', 'relaxed'].map((simd) => ({
    name: `cpu ${simd}`,
    stride: values.stride,
    environment: { SLUICE_SIMD: simd },
  }))
  for (const driver of values.driver) {
    const [name, file] = driver.split('=')
    const environment = { VK_DRIVER_FILES: file, XDG_RUNTIME_DIR: '/tmp' }
    columns.push({ name: `webgpu ${name}`, stride: values['webgpu-stride'], environment })
  }
  const only = values.only?.split(',')
  const before = only ? (JSON.parse(await readFile(results, 'utf8')) as DeviceAccuracy[]) : []
  const found = columns.filter(({ name }) => !only || only.includes(name)).map(inProcess)
  const kept = before.filter(({ name }) => found.every((device) => device.name !== name))
  const devices = [...kept, ...found].sort((a, b) => (a.name < b.name ? -1 : 1))
  const page = accuracyPage(
    devices,
    { one: oneArgument, two: twoArguments },
    'npm run accuracy',
    showMachine(thisMachine()),
  )
  // Whole numbers, not shortened ones: the tests compare with them.
  await writeFile(results, `${JSON.stringify(devices, null, 1)}\n`)
  await writeFile('docs/accuracy.md', page)
  console.error('wrote docs/accuracy.md and bench/results/accuracy.json')
}
