/** The command line as its users run it: the built files, in processes of their own, in folders of their own. */
import { execFile, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeSafetensors } from '../../src/hub/safetensors.ts'
import { writeCheckpoint } from '../../src/train/checkpoint.ts'

const root = resolve(import.meta.dirname, '../..')
/** Inside the project, where the built files find its packages; a folder a process, as two test runs may overlap. */
const built = join(root, '.cache', `cli-test-${process.pid}`)
const main = join(built, 'src', 'cli', 'main.js')
let cwd: string

beforeAll(async () => {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const options = [
    '-p',
    join(root, 'tsconfig.build.json'),
    '--outDir',
    built,
    '--declaration',
    'false',
    '--sourceMap',
    'false',
  ]
  // Type errors are another check's to report: only that there is something to run matters here.
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, ...options]).catch((error) => error)
  if (!existsSync(main)) throw new Error(`the command line could not be built: ${stdout}`)
  cwd = await mkdtemp(join(tmpdir(), 'sluice-cli-'))
  await writeFile(join(cwd, 'text.txt'), 'abcdefghijklmnopqrstuvwxyz\n'.repeat(60))
  await writeFile(join(cwd, 'config.json'), JSON.stringify(config))
  // A compiler takes its time where other tests run beside it.
}, 120_000)

afterAll(async () => {
  await rm(built, { recursive: true, force: true })
  await rm(cwd, { recursive: true, force: true })
})

const config = {
  name: 'small',
  model: { width: 16, layers: 1, heads: 2, feedForwardWidth: 16, dropout: 0.1 },
  batchSize: 2,
  contextLength: 8,
  steps: 12,
  evaluateEvery: 6,
  evaluationBatches: 2,
  checkpointEvery: 5,
}

interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs `sluice ...given` to its end; `meanwhile` is called with what it has written to stderr so far. */
function sluice(
  given: string[],
  meanwhile?: (stderr: string, child: ReturnType<typeof spawn>) => void,
): Promise<Outcome> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [main, ...given], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    const outcome = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      outcome.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      outcome.stderr += text
      meanwhile?.(outcome.stderr, child)
    })
    child.on('error', fail)
    child.on('close', (code) => done({ code, ...outcome }))
  })
}

/** Runs `sluice ...given`, looking in every few milliseconds. */
async function watched(given: string[], look: (child: ReturnType<typeof spawn>) => void): Promise<number | null> {
  const child = spawn(process.execPath, [main, ...given], { cwd, stdio: 'ignore' })
  const timer = setInterval(() => look(child), 5)
  const code = await new Promise<number | null>((done) => child.on('close', done))
  clearInterval(timer)
  return code
}

/** The newest checkpoint's tensors and place, without its times. */
async function lastCheckpoint(folder: string) {
  const checkpoints = join(cwd, folder, 'checkpoints')
  const newest = (await readdir(checkpoints)).sort().at(-1)!
  const { tensors, metadata } = decodeSafetensors(await readFile(join(checkpoints, newest)))
  return { newest, tensors, step: metadata.step, generator: metadata.generator }
}

describe('help', () => {
  it('lists the commands, and each tells its options', async () => {
    const overview = await sluice([])
    expect(overview).toMatchObject({ code: 0, stderr: '' })
    expect(await sluice(['--help'])).toEqual(overview)
    const commands = [...overview.stdout.matchAll(/^ {2}(\w+) +\S/gm)].map(([, name]) => name)
    expect(commands).toEqual(expect.arrayContaining(['demo', 'train', 'sample', 'check']))
    for (const name of commands) {
      const { code, stdout, stderr } = await sluice([name, '--help'])
      expect([name, code, stderr]).toEqual([name, 0, ''])
      expect(stdout).toContain('usage: ')
    }
  })
})

describe('train', () => {
  it('learns a text by its configuration, and writes log, checkpoints and a report that names the run', async () => {
    const { code, stdout } = await sluice(['train', '--data', 'text.txt', '--config', 'config.json'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^12 steps on cpu: held-out loss \d\.\d{4} nats a token, accuracy \d+\.\d %\nreport: \S+\n$/)
    expect(stdout).toContain('report: runs/small/report.html')
    const page = await readFile(join(cwd, 'runs/small/report.html'), 'utf8')
    expect(page).toContain('<title>small</title>')
    expect(page).toContain('text.txt')
    const log = (await readFile(join(cwd, 'runs/small/log.jsonl'), 'utf8')).trimEnd().split('\n')
    expect(log).toHaveLength(12)
    expect(stdout).toContain(`held-out loss ${JSON.parse(log[11]).heldOutLoss.toFixed(4)}`)
    expect((await readdir(join(cwd, 'runs/small/checkpoints'))).sort()).toEqual([
      'step-000010.safetensors',
      'step-000012.safetensors',
    ])

    const refused = await sluice(['train', '--data', 'text.txt', '--config', 'config.json'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('runs/small already holds the checkpoints of a run')
    const replaced = await sluice(['train', '--data', 'text.txt', '--config', 'config.json', '--overwrite'])
    expect([replaced.code, replaced.stdout]).toEqual([0, stdout])
    // Nothing is left to do, which is no error.
    expect(await sluice(['train', '--resume', 'runs/small/'])).toMatchObject({ code: 0, stdout })
  })

  it('learns a task', async () => {
    const data = { task: 'copy', taskOptions: { vocabularySize: 5, sequenceLength: 8, copyLength: 2 } }
    await writeFile(join(cwd, 'task.json'), JSON.stringify({ ...config, data }))
    const { code, stdout } = await sluice(['train', '--config', 'task.json', '--name', 'copying', '--steps', '3'])
    expect(code).toBe(0)
    expect(stdout).toContain('report: runs/copying/report.html')
    const sampled = await sluice(['sample', 'runs/copying'])
    expect(sampled).toMatchObject({ code: 1, stdout: '' })
    expect(sampled.stderr).toContain('this run learned a generated task, which has no text to sample')
  })

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'stops at %s with a checkpoint, and --resume ends with the same bits',
    async (signal) => {
      const train = ['train', '--data', 'text.txt', '--config', 'config.json', '--steps', '80']
      expect((await sluice([...train, '--name', `whole-${signal}`])).code).toBe(0)
      const name = `stopped-${signal}`
      let sent = false
      // The first line comes with the first step.
      const stopped = await sluice([...train, '--name', name], (stderr, child) => {
        if (!sent && stderr.includes(' 1/80 ')) sent = child.kill(signal)
      })
      expect([sent, stopped.code]).toEqual([true, 0])
      const hint = /^stopped after step (\d+) of 80; go on with: sluice (train --resume runs\/\S+)\n$/.exec(
        stopped.stdout,
      )
      const [, step, command] = hint!
      expect(Number(step)).toBeLessThan(80)
      expect((await lastCheckpoint(`runs/${name}`)).step).toBe(step)
      const resumed = await sluice(command.split(' '))
      expect(resumed.code).toBe(0)
      expect(await lastCheckpoint(`runs/${name}`)).toEqual(await lastCheckpoint(`runs/whole-${signal}`))
      expect(resumed.stdout).toMatch(/^80 steps on cpu/)
    },
  )

  it('goes further with --resume and --steps, also from a checkpoint file', async () => {
    const train = ['train', '--data', 'text.txt', '--config', 'config.json', '--name', 'further']
    expect((await sluice([...train, '--steps', '5'])).code).toBe(0)
    const file = 'runs/further/checkpoints/step-000005.safetensors'
    const { code, stdout } = await sluice(['train', '--resume', file, '--steps', '7'])
    expect([code, stdout.split(' ')[0]]).toEqual([0, '7'])
    expect((await lastCheckpoint('runs/further')).newest).toBe('step-000007.safetensors')
  })
})

describe('sample', () => {
  beforeAll(async () => {
    const steps = ['--steps', '2', '--config', 'config.json']
    expect((await sluice(['train', '--data', 'text.txt', '--name', 'letters', ...steps])).code).toBe(0)
    await writeFile(join(cwd, 'wide.txt'), 'é😀'.repeat(300))
    const bytes = { ...config, name: 'bytes', data: { text: 'wide.txt', tokenizer: 'byte' }, steps: 60 }
    await writeFile(
      join(cwd, 'bytes.json'),
      JSON.stringify({ ...bytes, optimizer: { learningRate: 0.02 }, batchSize: 8 }),
    )
    expect((await sluice(['train', '--config', 'bytes.json'])).code).toBe(0)
  })

  it('prints the prompt and what follows', async () => {
    const { code, stdout, stderr } = await sluice(['sample', 'runs/letters', '--prompt', 'abc', '--length', '20'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^abc[a-z\n]{20}\n$/)
    const again = ['sample', 'runs/letters/', '--prompt', 'abc', '--length', '20']
    expect((await sluice([...again, '--seed', '0'])).stdout).toBe(stdout)
    expect((await sluice([...again, '--seed', '1'])).stdout).not.toBe(stdout)
    const greedy = await sluice([...again, '--temperature', '0'])
    expect((await sluice([...again, '--top-k', '1'])).stdout).toBe(greedy.stdout)
    expect((await sluice([...again, '--top-p', '0.000001'])).stdout).toBe(greedy.stdout)
    expect((await sluice(['sample', 'runs/letters', '--length', '0'])).stdout).toBe('\n\n')
    const file = 'runs/letters/checkpoints/step-000002.safetensors'
    expect((await sluice(['sample', file, '--prompt', 'abc', '--length', '20'])).stdout).toBe(stdout)
  })

  it('prints whole characters of a model of bytes', async () => {
    const { code, stdout } = await sluice([
      'sample',
      'runs/bytes',
      '--prompt',
      'é😀',
      '--length',
      '24',
      '--temperature',
      '0',
    ])
    // Six bytes a pair: 24 are four pairs, once the model has learned the text.
    expect([code, stdout]).toEqual([0, `${'é😀'.repeat(5)}\n`])
  })

  it('begins with a character of the text when that has no line breaks', async () => {
    await writeFile(join(cwd, 'plain.txt'), 'xyz'.repeat(300))
    const steps = ['--steps', '1', '--config', 'config.json']
    await sluice(['train', '--data', 'plain.txt', '--name', 'plain', ...steps])
    const { code, stdout } = await sluice(['sample', 'runs/plain', '--length', '5'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^x[xyz]{5}\n$/)
  })

  it('ends quietly when its reader has had enough', async () => {
    const child = spawn(process.execPath, [main, 'sample', 'runs/letters', '--length', '3000'], { cwd, stdio: 'pipe' })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.stdout.once('data', () => child.stdout.destroy())
    const code = await new Promise((done) => child.on('close', done))
    expect([code, stderr]).toEqual([0, ''])
  })
})

describe('inspect', () => {
  it('prints layers of a run beside those of its export, and writes the report', async () => {
    await sluice(['train', '--data', 'text.txt', '--config', 'config.json', '--name', 'looked', '--overwrite'])
    const exported = await sluice(['export', 'runs/looked', 'looked-export', '--family', 'qwen3'])
    expect([exported.code, exported.stderr]).toEqual([0, ''])
    const { code, stdout, stderr } = await sluice([
      'inspect',
      'runs/looked',
      'looked-export',
      '--text',
      'text.txt',
      '--heads',
    ])
    expect([code, stderr]).toEqual([0, ''])
    const losses = [...stdout.matchAll(/loss (\S+) nats a token on 256 tokens/g)].map(([, loss]) => loss)
    expect(losses).toHaveLength(2)
    expect(losses[1]).toBe(losses[0])
    // The same model twice: the columns of one are those of the other.
    const rows = stdout.split('\n').filter((line) => /^(0 attention| {2}head \d|all) /.test(line))
    expect(rows).toHaveLength(4)
    for (const row of rows) {
      const cells = row
        .replace(/^(0 attention| {2}head \d|all)/, '')
        .trim()
        .split(/\s+/)
      expect(cells.slice(cells.length / 2)).toEqual(cells.slice(0, cells.length / 2))
    }
    expect(await readFile(join(cwd, 'inspect.html'), 'utf8')).toContain('looked-export')
  })
})

describe('tasks', () => {
  it('trains every mixer from every seed, keeps the results, and writes the table', async () => {
    const given = ['tasks', '--tasks', 'parity', '--mixers', 'attention,hybrid', '--seeds', '1,2', '--steps', '1']
    const { code, stdout, stderr } = await sluice([...given, '--out', 'table.md'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^4\/4 parity, (attention|hybrid), seed [12]: -?\d+\.\d % after 1 steps/m)
    const table = await readFile(join(cwd, 'table.md'), 'utf8')
    expect(table).toMatch(/^\| attention \| (-?\d+\.\d) \(\S+ to \S+\) \| .* \| 1 \| \d+ \| 1, 2 \|$/m)
    expect(table).toMatch(/^\| hybrid \|/m)
    const again = await sluice(given)
    expect(again.code).toBe(0)
    expect(again.stdout).not.toContain('4/4')
    expect(again.stdout.trim()).toBe(table.slice(table.indexOf('###')).trim())
  })
})

describe('study', () => {
  /** Two variants from two seeds, one rate and one budget more. */
  const settings = {
    data: { task: 'backcopy', taskOptions: { vocabularySize: 12, sequenceLength: 16 } },
    learningRate: 3e-3,
    batchSize: 4,
    sizes: { base: { width: 16, layers: 1, heads: 2, feedForwardWidth: 32 } },
    main: { variants: ['baseline', 'g1-headwise'], size: 'base', steps: 60 },
    rates: { variants: ['baseline'], learningRates: [0.01], size: 'base', steps: 55, seeds: 1 },
    scaling: { variants: ['baseline'], sizes: ['base'], steps: [52], seeds: 1 },
    evaluateEvery: 30,
    checkpointEvery: 10,
  }
  const study = (folder: string, ...given: string[]) => [
    'study',
    '--settings',
    'study.json',
    '--folder',
    folder,
    ...given,
  ]
  const runsIn = async (folder: string) => readdir(join(cwd, folder, 'runs'))

  beforeAll(async () => writeFile(join(cwd, 'study.json'), JSON.stringify(settings)))

  it('runs every job, keeps each with its log, and writes data, tables and report', async () => {
    const { code, stdout, stderr } = await sluice(study('whole'))
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^6\/6 \S+: \d\.\d{4} \(\d+ s\)$/m)
    expect(stdout).toContain('report: whole/report.html')
    expect(await runsIn('whole')).toHaveLength(6)
    for (const name of await runsIn('whole')) {
      // Its checkpoints were of use until its result was there.
      expect((await readdir(join(cwd, 'whole/runs', name))).sort()).toEqual(['log.jsonl', 'result.json'])
    }
    expect(await readFile(join(cwd, 'whole/report.html'), 'utf8')).toContain('g1-headwise')
    const again = await sluice(study('whole'))
    expect(again.stdout).toMatch(/^6 of 6 runs are there\nreport: /)
  })

  it('in two shards, merged, gives the tables of one', async () => {
    for (const [folder, shard] of [
      ['one', '1/2'],
      ['two', '2/2'],
    ] as const) {
      expect((await sluice(study(folder, '--shard', shard))).code).toBe(0)
      expect(await runsIn(folder)).toHaveLength(3)
    }
    const { code, stdout } = await sluice(['study', 'merge', 'one', 'two', '--folder', 'both'])
    expect([code, stdout.split('\n')[0]]).toEqual([0, '6 of 6 runs'])
    const tables = await readdir(join(cwd, 'whole/tables'))
    expect(tables.length).toBeGreaterThan(3)
    for (const table of tables) {
      const [whole, merged] = await Promise.all(
        ['whole', 'both'].map((folder) => readFile(join(cwd, folder, 'tables', table), 'utf8')),
      )
      expect(merged).toBe(whole)
    }
  })

  it('starts a run that was killed again, from its checkpoint', async () => {
    let killed = ''
    const killOnce = (child: ReturnType<typeof spawn>) => {
      if (killed || !child.pid) return
      const [worker] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ')
      const name = readFileSync(`/proc/${worker}/cmdline`, 'utf8')
        .split('\0')
        .find((part) => part.startsWith('main_'))
      const checkpoints = join(cwd, 'killed/runs', name ?? '', 'checkpoints')
      if (!name || !existsSync(checkpoints) || !readdirSync(checkpoints).some((file) => file.endsWith('.safetensors')))
        return
      process.kill(Number(worker), 'SIGKILL')
      killed = name
    }
    const code = await watched(study('killed', '--jobs', '1', '--variants', 'baseline', '--seeds', '1'), killOnce)
    expect(code).toBe(0)
    expect(killed).not.toBe('')
    const result = async (folder: string) => {
      const { seconds: _, ...run } = JSON.parse(
        await readFile(join(cwd, folder, 'runs', killed, 'result.json'), 'utf8'),
      )
      return run
    }
    expect(await result('killed')).toEqual(await result('whole'))
  })

  it('stops at a full disk with everything finished kept', async () => {
    const [name] = await runsIn('whole').then((names) => names.filter((each) => each.includes('g1-headwise')))
    await mkdir(join(cwd, 'full/runs', name!), { recursive: true })
    // The log is written there first, and then renamed.
    await symlink('/dev/full', join(cwd, 'full/runs', name!, 'log.jsonl.partial'))
    const { code, stderr } = await sluice(study('full', '--jobs', '1'))
    expect(code).toBe(1)
    expect(stderr).toMatch(/the disk is full \(.*ENOSPC.*\); what had ended is kept; make room/)
    const kept = (await runsIn('full')).filter((each) => existsSync(join(cwd, 'full/runs', each, 'result.json')))
    expect(kept).toEqual(['main_baseline_base_rate-0.003_steps-60_seed-1'])
  })

  it('lists the variants with their rows', async () => {
    const { stdout } = await sluice(['study', 'list'])
    // The paper's rows, perplexity, loss difference, gate score, massive activation and attention on the first token.
    expect(stdout).toMatch(/^g1-elementwise +5, .* 5\.761 +-0\.0450 +0\.116 +94 +0\.048 +\S/m)
  })

  it.each([
    [['study', '--preset', 'toys'], "study: there is no preset 'toys'"],
    [['study', '--preset', 'text'], 'sluice study: the preset text learns a text: give --data FILE'],
    [['study', '--variants', 'g1-headwide'], "variant: there is no variant 'g1-headwide'; the nearest is g1-headwise"],
    [['study', '--shard', '3/2'], "sluice study: --shard must be I/N with I from 1 to N, got '3/2'"],
    [['study', 'merge'], 'sluice study: merge needs the folders of the shards'],
    [['study', 'merge', 'runs'], 'sluice study: runs holds no study'],
    [['study', 'marge'], "sluice study: there is no action 'marge'; the nearest is merge"],
    [
      ['study', '--settings', 'study.json', '--folder', 'whole', '--steps', '9'],
      "study: whole is of another study: its 'main' differs",
    ],
  ])('%j is refused', async (given, message) => {
    const { code, stdout, stderr } = await sluice(given)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toContain(message)
  })
})

describe('bad input', () => {
  const small = ['--config', 'config.json', '--name', 'wrong']

  beforeAll(async () => {
    await writeFile(join(cwd, 'empty.txt'), '')
    await writeFile(join(cwd, 'short.txt'), 'too short')
    await writeFile(join(cwd, 'latin1.txt'), Buffer.from('caf\xe9 '.repeat(100), 'latin1'))
    await writeFile(join(cwd, 'not.json'), '{ steps: 3 }')
    await writeFile(join(cwd, 'list.json'), '[]')
    await writeFile(join(cwd, 'typo.json'), '{ "optimizer": { "learningRat": 1 } }')
    await writeFile(join(cwd, 'inner.json'), '{ "model": { "widht": 8 } }')
    await writeFile(join(cwd, 'string.json'), '{ "data": "text.txt" }')
    await writeFile(join(cwd, 'outside.json'), '{ "name": "../outside" }')
    await writeFile(
      join(cwd, 'huge.json'),
      JSON.stringify({ ...config, clip: null, optimizer: { learningRate: 1e25 } }),
    )
    await mkdir(join(cwd, 'runs/damaged/checkpoints'), { recursive: true })
    await writeFile(join(cwd, 'runs/damaged/checkpoints/step-000003.safetensors'), 'no tensors')
    const foreign = { step: 1, tensors: new Map(), config: null, generator: null }
    await writeCheckpoint(join(cwd, 'runs/foreign/checkpoints'), foreign)
    await writeFile(join(cwd, 'runs/file'), '')
  })

  it.each([
    [
      ['trian'],
      "sluice: there is no command 'trian'; the nearest is train, all are demo, train, sample, inspect, tasks, study, export, check",
    ],
    [['train'], 'sluice train: there is nothing to learn from: give --data FILE or --task NAME'],
    [['train', '--dta', 'x'], "sluice train: Unknown option '--dta'"],
    [['train', '--data'], "sluice train: Option '--data <value>' argument missing"],
    [['train', 'text.txt'], "sluice train: Unexpected argument 'text.txt'"],
    [['train', '--data', 'none.txt', ...small], 'loadText: there is no file none.txt'],
    [['train', '--data', 'runs', ...small], 'loadText: runs is a folder'],
    [['train', '--data', 'empty.txt', ...small], 'loadText: empty.txt is empty'],
    [['train', '--data', 'short.txt', ...small], 'train: the text has 8 tokens to train on and 1 held out'],
    [['train', '--data', 'latin1.txt', ...small], 'loadText: latin1.txt is not UTF-8: byte 0xe9 at position 3'],
    [['train', '--data', 'text.txt', '--task', 'copy'], 'trainConfig: data has both a text and a task'],
    [
      ['train', '--task', 'copy', '--mixer', 'gated-delta', ...small],
      "mixer: there is no mixer 'gated-delta'; the nearest is gated-delta-net",
    ],
    [['inspect', '--text', 'text.txt'], 'sluice inspect: expected the folders of one or more models'],
    [['inspect', 'runs/small'], 'sluice inspect: give the text that is read: --text FILE'],
    [['inspect', 'runs/foreign', '--text', 'text.txt'], 'is a checkpoint, but not one of a training run'],
    [['inspect', 'runs/small', '--text', 'text.txt', '--tokens', '0'], 'sluice inspect: --tokens must be at least 1'],
    [['inspect', 'runs/small', '--text', 'empty.txt'], 'sluice inspect: the text has 0 tokens, two are needed'],
    [['tasks', '--tasks', 'mqra'], "toyTask: there is no toy task 'mqra'; the nearest is mqar"],
    [['tasks', '--mixers', 'hybird'], "mixer: there is no mixer 'hybird'; the nearest is hybrid"],
    [['tasks', '--seeds', '1,x'], "sluice: --seeds must be a whole number from 0, got 'x'"],
    [['train', '--task', 'coyp', ...small], "train: there is no task 'coyp'; the nearest is copy"],
    [
      ['train', '--data', 'text.txt', '--config', 'none.json'],
      'sluice train: the configuration none.json cannot be read',
    ],
    [['train', '--data', 'text.txt', '--config', 'not.json'], 'sluice train: the configuration not.json is not JSON'],
    [['train', '--data', 'text.txt', '--config', 'list.json'], 'the configuration list.json must be a JSON object'],
    [
      ['train', '--data', 'text.txt', '--config', 'typo.json'],
      'unknown key optimizer.learningRat; the nearest is learningRate',
    ],
    [
      ['train', '--data', 'text.txt', '--config', 'inner.json'],
      "transformerConfig: there is no setting 'widht'; did you mean 'width'?",
    ],
    [['train', '--config', 'string.json'], 'trainConfig: data must be an object, got "text.txt"'],
    [
      ['train', '--data', 'x', '--config', 'string.json'],
      'data must be an object in the configuration, got "text.txt"',
    ],
    [['train', '--data', 'text.txt', '--config', 'outside.json'], 'trainConfig: name must be a name for a folder'],
    [['train', '--data', 'text.txt', '--name', '..'], 'trainConfig: name must be a name for a folder'],
    [['train', '--data', 'text.txt', '--name', 'file'], 'train: the log runs/file/log.jsonl cannot be written'],
    [['train', '--data', 'text.txt', '--steps', '1.5'], "sluice: --steps must be a whole number from 0, got '1.5'"],
    [['train', '--data', 'text.txt', '--seed', 'x'], "sluice: --seed must be a whole number from 0, got 'x'"],
    [['train', '--data', 'text.txt', '--device', 'tpu'], "device: there is no device 'tpu'"],
    [['train', '--resume', 'runs/none'], 'train: there is no folder runs/none, so no run to resume'],
    [
      ['train', '--resume', 'runs/damaged'],
      'readCheckpoint: runs/damaged/checkpoints/step-000003.safetensors cannot be used',
    ],
    [['train', '--resume', 'runs/foreign'], 'is a checkpoint, but not one of a training run'],
    [
      ['train', '--resume', 'runs/x', '--seed', '1'],
      'sluice train: --resume goes on with the run as it is; leave out --seed',
    ],
    [
      ['train', '--resume', 'runs/x', '--overwrite'],
      'sluice train: --resume goes on with a run and --overwrite replaces it',
    ],
    [['train', '--data', 'text.txt', '--config', 'huge.json', '--name', 'huge'], 'the weights were not updated'],
    [['sample'], 'sluice sample: expected one run, got 0'],
    [['sample', 'a', 'b'], 'sluice sample: expected one run, got 2'],
    [['sample', 'runs/none'], 'readCheckpoint: the folder runs/none/checkpoints cannot be listed'],
    [['sample', 'runs/foreign'], 'is a checkpoint, but not one of a training run'],
    [['sample', 'runs/letters', '--prompt', 'É'], 'CharTokenizer.encode: character "É" (U+00C9) at position 0'],
    [['sample', 'runs/letters', '--prompt', ''], 'generate: the prompt is empty'],
    [['sample', 'runs/letters', '--temperature', 'warm'], "sluice: --temperature must be a number, got 'warm'"],
    [['sample', 'runs/letters', '--top-k', '0'], 'generate: topK must be a positive integer, got 0'],
    [['sample', 'runs/letters', '--top-p', '2'], 'generate: topP must be in (0, 1], got 2'],
    [['sample', 'runs/letters', '--length', '-1'], "sluice sample: Option '--length' argument is ambiguous."],
    [['sample', 'runs/letters', '--length=-1'], "sluice: --length must be a whole number from 0, got '-1'"],
    [['demo', '--steps', 'x'], "sluice: --steps must be a whole number from 0, got 'x'"],
    [['check'], 'sluice check: name an operation, or give --all'],
    [['check', 'sotfmax'], "sluice check: there is no operation 'sotfmax'; the nearest is softmax"],
  ])('%j: one line says what is wrong', async (given, message) => {
    const { code, stdout, stderr } = await sluice(given)
    const training = /^\S+ +\d+\/\d+ .*\n/gm
    const said = stderr.replace(training, '')
    expect(said).toContain(message)
    expect(said).toMatch(/^[\w. -]+: .+\n$/)
    expect([code, stdout]).toEqual([1, ''])
    expect(existsSync(join(cwd, 'runs/wrong'))).toBe(false)
  })
})

describe('demo', () => {
  it('trains both twins, prints losses and a sample, and writes one report', async () => {
    const { code, stdout } = await sluice(['demo', '--steps', '2'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Moby Dick, 1,\d{3},\d{3} characters, on the cpu device\.\n/)
    const losses = Object.fromEntries(
      [...stdout.matchAll(/^ {2}(\w+) +(\d\.\d{3}) {3}[\d,]+ parameters/gm)].map(([, name, loss]) => [name, loss]),
    )
    expect(Object.keys(losses)).toEqual(['gated', 'ungated'])
    expect(stdout).toContain('the gated model goes on:\n\nCall me ')
    const page = await readFile(join(cwd, 'runs/moby-dick/report.html'), 'utf8')
    for (const loss of Object.values(losses)) expect(page).toContain(loss)
    for (const name of ['gated', 'ungated']) {
      const log = await readFile(join(cwd, `runs/moby-dick-${name}/log.jsonl`), 'utf8')
      expect(log.trimEnd().split('\n')).toHaveLength(2)
      expect(JSON.parse(log.trimEnd().split('\n')[1]).heldOutLoss.toFixed(3)).toBe(losses[name])
    }
  })
})
