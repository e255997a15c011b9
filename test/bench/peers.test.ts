/** The comparisons with other engines, without the engines: options, turns, tables, goals; and our own measurements. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import type { Simd } from '../../bench/cpu.ts'
import { hashModelSizes } from '../../bench/hash-model.ts'
import { thisMachine } from '../../bench/machine.ts'
import { type Engine, enginesOf } from '../../bench/peers/engines.ts'
import { goalsOfOperations, goalsOfSteps } from '../../bench/peers/goals.ts'
import { findInstalled, type Installed, showInstalled } from '../../bench/peers/installed.ts'
import { measureCase } from '../../bench/peers/measure-case.ts'
import { chosenCases, type OperationLine, operationCases } from '../../bench/peers/operation-cases.ts'
import { disagreements, operationTables } from '../../bench/peers/operation-tables.ts'
import { ask } from '../../bench/peers/process.ts'
import { type PeerRecord, type Results, showHead, summarize } from '../../bench/peers/records.ts'
import { type Family, operationSettings, stepSettings } from '../../bench/peers/settings.ts'
import { stepTables } from '../../bench/peers/step-tables.ts'
import type { StepLine } from '../../bench/peers/steps.ts'
import { Report, takeTurns } from '../../bench/peers/turns.ts'
import { tableInMarkdown, tableInText } from '../../bench/table.ts'
import { findDevice } from '../../src/device/registry.ts'

const installed: Installed = {
  node: { program: 'node', version: '24.1.0', v8: '13.6', major: 24 },
  pythons: [{ program: 'python3', name: 'PyTorch 2.15.0', torch: { version: '2.15.0+cpu' }, blas: 'MKL' }],
  jaxjs: { version: '0.1.25' },
  tfjs: { version: '4.22.0' },
  limit: { version: '' },
}

const script = (code: string) => ({ program: process.execPath, args: ['-e', code] })

const engineNamed = (name: string, more: Partial<Engine> = {}): Engine => ({
  name,
  family: 'Sluice',
  threads: 1,
  missing: undefined,
  step: () => script(''),
  operation: () => undefined,
  ...more,
})

describe('options of the comparisons', () => {
  it('measure everything unless told otherwise', () => {
    const all = stepSettings(['--peers', 'peers'])
    expect(all).toMatchObject({ peers: 'peers', rounds: 3, node: process.execPath, pythons: ['python3'] })
    expect(all.configs).toEqual(['tiny', 'small', 'medium'])
    expect(all.simd).toEqual(['plain', 'relaxed', 'wide'])
    expect(all.threads).toHaveLength(1)
  })

  it('take lists, and refuse what there is not', () => {
    const given = '--threads 1,2 --simd plain,wide --engines Sluice,TF.js --configs tiny --python a,b'
    expect(stepSettings(given.split(' '))).toMatchObject({
      threads: [1, 2],
      simd: ['plain', 'wide'],
      families: ['Sluice', 'TF.js'],
      pythons: ['a', 'b'],
    })
    expect(() => stepSettings(['--configs', 'huge'])).toThrow(/--configs: there is no 'huge'; there are tiny/)
    expect(() => stepSettings(['--threads', '0'])).toThrow(/--threads must be a positive integer/)
    expect(() => operationSettings(['--configs', 'tiny'])).toThrow(/--configs/)
    expect(() => chosenCases(operationSettings(['--only', 'fft']).only)).toThrow(/there are 'matmul 256'/)
    expect(chosenCases(['matmul', 'gelu']).map(({ row }) => row)).toEqual([
      ...['matmul 256', 'matmul 512', 'matmul 1024', 'gelu 1024x1024'],
    ])
  })
})

describe('the engines', () => {
  const engines = (args: string, found = installed) => enginesOf(found, stepSettings(args.split(' ')))
  const names = (args: string, found = installed) =>
    engines(args, found).map(({ name, threads, missing }) => [name, threads, ...(missing ? [missing] : [])].join(' '))

  it('take turns: ours and the limit in each variant, then the peers', () => {
    expect(names('--peers p --threads 2 --simd relaxed,wide')).toEqual([
      ...['Sluice relaxed 2', 'Sluice wide 2', 'Sluice wide, eager 2', 'limit relaxed 2', 'limit wide 2'],
      ...['PyTorch 2.15.0 2', 'jax-js 2', 'jax-js 1', 'TF.js 1'],
    ])
    // Each once, however many numbers of threads are asked for.
    expect(names('--peers p --threads 1,2 --engines jax-js,TF.js')).toEqual(['jax-js 1', 'jax-js 2', 'TF.js 1'])
  })

  it('are left out with a word where they are not there', () => {
    const old: Installed = {
      ...installed,
      node: { ...installed.node, version: '20.1.0', major: 20 },
      jaxjs: { why: 'it is not installed' },
    }
    const found = names('--peers p --threads 1', old)
    expect(found).toContain('limit wide 1 needs Node 24 or later')
    expect(found).toContain('Sluice relaxed, eager 1')
    expect(found).toContain('jax-js 1 it is not installed')
    expect(names('--threads 1', installed)).toContain('PyTorch 2.15.0 1 no --peers')
  })

  it('are called as their scripts want it', () => {
    const commandOf = (name: string, args = '--peers p --threads 2', found = installed) =>
      engines(args, found)
        .find((engine) => engine.name === name)!
        .step('tiny', 5)
    expect(commandOf('limit wide')).toMatchObject({
      program: 'node',
      args: ['limit/wasm_step.mjs', 'tiny', 'revec', '2', '5'],
    })
    const old = { ...installed, node: { ...installed.node, major: 20 } }
    expect(commandOf('limit relaxed', undefined, old).args[0]).toBe('--experimental-wasm-relaxed-simd')
    expect(commandOf('PyTorch 2.15.0', '--peers p --threads 2 --openblas /blas')).toMatchObject({
      args: ['torch_step.py', 'tiny', '2', '5'],
      environment: { LD_LIBRARY_PATH: '/blas' },
    })
    expect(commandOf('Sluice wide, eager').args.slice(1).join(' ')).toBe(
      'step --json --config tiny --threads 2 --simd wide --steps 5 --eager',
    )
  })

  it('have the delta rule only in PyTorch and ours', () => {
    const task = { case: chosenCases(['gated delta rule chunked T 256'])[0], time: 1 }
    const able = engines('--peers p --threads 2 --simd wide').filter(({ operation }) => operation(task) !== undefined)
    expect(able.map(({ name }) => name)).toEqual(['Sluice wide', 'PyTorch 2.15.0'])
  })

  describe('on this machine', () => {
    let folder = ''
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'))
      await writeFile(join(folder, 'jaxjs_step.mjs'), '')
    })
    afterAll(() => rm(folder, { recursive: true }))

    it('are found, or it is said what is missing', async () => {
      const args = ['--peers', folder, '--python', join(folder, 'python3')]
      const found = await findInstalled(stepSettings(args))
      expect(found.node.version).toBe(process.versions.node)
      expect(found.jaxjs).toEqual({ why: '@jax-js/jax is not installed in --peers' })
      expect(found.tfjs).toEqual({ why: 'no tfjs_step.mjs in --peers' })
      expect(found.limit).toEqual({ why: 'no limit/wasm_step.mjs in --peers' })
      expect(found.pythons[0].torch).toEqual({ why: expect.stringContaining('ENOENT') })
      expect(showInstalled(found)).toHaveLength(1)
      await expect(findInstalled(stepSettings(['--node', join(folder, 'node')]))).rejects.toThrow(/--node .*ENOENT/)
    })
  })
})

describe('a process', () => {
  it('answers with its last line of JSON, or the line that says why there is none', async () => {
    expect(await ask(script(`console.log('{"a": 1}'); console.log('text'); console.log('{"a": 2}')`), 60)).toEqual({
      line: { a: 2 },
    })
    // A step whose losses differ prints its line and ends with 1.
    expect(await ask(script(`console.log('{"a": 1}'); process.exitCode = 1`), 60)).toEqual({ line: { a: 1 } })
    expect(await ask(script(`throw new TypeError('no such thing')`), 60)).toEqual({
      why: expect.stringMatching(/^exit code 1: .*TypeError.*no such thing/),
    })
    expect(await ask(script(`console.log('{"loss": NaN}')`), 60)).toEqual({ why: '{"loss": NaN}' })
    expect(await ask(script(''), 60)).toEqual({ why: 'it said nothing' })
    expect(await ask(script('setTimeout(() => {}, 60000)'), 0.2)).toEqual({ why: 'not done in 0.2 s' })
    expect(await ask({ program: 'no-such-program', args: [] }, 60)).toEqual({ why: expect.stringContaining('ENOENT') })
  })

  it('has the variables and the folder that its command names', async () => {
    const code = `console.log(JSON.stringify({ folder: process.cwd(), given: process.env.GIVEN }))`
    const answer = await ask({ ...script(code), folder: '/', environment: { GIVEN: 'yes' } }, 60)
    expect(answer).toEqual({ line: { folder: '/', given: 'yes' } })
  })
})

describe('turns', () => {
  it('measure with every engine in every round, and try nothing again that failed', async () => {
    const told: string[] = []
    let failures: string[] = []
    const fails = engineNamed('fails', { step: () => script(`throw new Error('no')`) })
    const works = engineNamed('works', { step: () => script(`console.log('{"ms": 1}')`) })
    const missing = engineNamed('missing', { missing: 'not there' })
    let records: readonly PeerRecord<{ ms: number }>[] = []
    await takeTurns<{ ms: number }>(
      [fails, works, missing],
      [{ what: 'tiny', command: (engine) => engine.step('tiny', undefined) }],
      stepSettings(['--rounds', '2']),
      async (found, problems) => {
        records = [...found]
        failures = problems.map(({ engine, what, why }) => `${engine} ${what} ${why}`)
      },
      (text) => told.push(text.replace(/^\d+ s/, '0 s')),
    )
    expect(records.map(({ engine, round, line }) => [engine, round, line])).toEqual([
      ['works', 1, { ms: 1 }],
      ['works', 2, { ms: 1 }],
    ])
    expect(failures).toEqual(['missing undefined not there', 'fails tiny exit code 1: Error: no'])
    expect(told).toEqual([
      ...['0 s, round 1: tiny, fails, 1 thread', '  not measured: exit code 1: Error: no'],
      ...['0 s, round 1: tiny, works, 1 thread', '0 s, round 2: tiny, works, 1 thread'],
    ])
  })
})

/** A training step as a script prints it, with the published losses. */
function stepRecord(
  engine: string,
  family: Family,
  ms: number,
  more: { threads?: number; simd?: Simd; round?: number; rss?: number; loss0?: number } = {},
): PeerRecord<StepLine> {
  const { threads = 2, simd, round = 1, rss = 100, loss0 } = more
  const [first, afterK] = hashModelSizes.tiny.losses
  return {
    ...{ engine, family, threads, simd, round, what: 'tiny' },
    line: {
      ...{ lib: engine, threads, ms_median: ms, ms_best: ms, tok_s: 1, gflop_step: 0.39, gflops: 1, rss_mb: rss },
      ...{ loss0: loss0 ?? first, loss_after_K: afterK, K: 20 },
    },
  }
}

const resultsOf = <Line>(records: readonly PeerRecord<Line>[]): Results<Line> => ({
  machine: thisMachine(),
  command: 'npm run bench -- --peers p',
  installed: ['Node 24'],
  records,
  problems: [
    { engine: 'jax-js', family: 'jax-js', threads: 1, why: 'no --peers' },
    { engine: 'jax-js', family: 'jax-js', threads: 2, why: 'no --peers' },
    { engine: 'Sluice wide', family: 'Sluice', threads: 2, simd: 'wide', what: 'tiny', why: 'exit code 1' },
  ],
})

describe('the tables of training steps', () => {
  const records = [
    ...[3, 9, 4].map((ms, i) => stepRecord('Sluice wide', 'Sluice', ms, { simd: 'wide', round: i + 1 })),
    stepRecord('Sluice wide, eager', 'Sluice', 8, { simd: 'wide' }),
    stepRecord('limit plain', 'limit', 1, { simd: 'plain' }),
    stepRecord('limit wide', 'limit', 2, { simd: 'wide' }),
    stepRecord('PyTorch 1.13.0', 'PyTorch', 10),
    stepRecord('PyTorch 1.13.0', 'PyTorch', 14, { threads: 1 }),
    stepRecord('jax-js', 'jax-js', 50),
    stepRecord('jax-js', 'jax-js', 36, { threads: 1, loss0: 4.2 }),
    stepRecord('TF.js', 'TF.js', 60, { threads: 1 }),
  ]

  it('show medians of the rounds, losses, and what is missing', () => {
    const [times] = stepTables(resultsOf(records))
    expect(times.title).toBe('Training step of tiny, 0.39 GFLOP')
    expect(times.rows[0]).toEqual(['Sluice wide', 2, 4, 3, 128000, 97.5, 100, 'agree', 3])
    expect(times.rows.map((row) => row[7])).toContain('DIFFER')
    expect(times.rows.map((row) => row[7])).toContain('left out: no --peers')
    expect(tableInText(times)).toMatch(/Sluice wide +2 +4 +3 +128000 +97\.5 +100 +agree +3/)
    expect(tableInMarkdown(times)).toContain('| Sluice wide | 2 | 4 | 3 | 128000 | 97.5 | 100 | agree | 3 |')
  })

  it('compare with the limit in the same variant, PyTorch on as many threads, the best of each other', () => {
    const [, ratios] = stepTables(resultsOf(records))
    expect(ratios.headings.slice(2)).toEqual([
      ...['ours / limit', 'PyTorch 1.13.0 / ours', 'jax-js / ours', 'TF.js / ours', 'best in JavaScript / ours'],
    ])
    expect(ratios.rows).toEqual([
      ['Sluice wide', 2, 2, 2.5, 9, 15, 9],
      ['Sluice wide, eager', 2, 4, 1.25, 4.5, 7.5, 4.5],
    ])
  })

  it('say which goals are met, of captured steps only', () => {
    expect(goalsOfSteps(summarize(records)).map(({ goal, found, isMet }) => [goal, found, isMet])).toEqual([
      ["tiny, Sluice wide: time over the limit's: at most 1.5", 2, false],
      ["tiny, Sluice wide: PyTorch 1.13.0's time over it: at least 2", 2.5, true],
      ['tiny, Sluice wide: time of jax-js over it: at least 10', 9, false],
    ])
    expect(goalsOfSteps(summarize(records.slice(0, 3)))).toEqual([])
  })

  it('begin with the command, the machine and a word on what was left out', () => {
    const head = showHead(resultsOf(records))
    expect(head[0]).toBe('`npm run bench -- --peers p`')
    expect(head.filter((line) => line === 'jax-js, left out: no --peers')).toHaveLength(1)
    expect(head).toContain('Sluice wide, 2 threads, tiny, not measured: exit code 1')
    expect(head.join()).toContain('Medians of 3 interleaved rounds')
  })

  it('are written beside the numbers', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'))
    try {
      const settings = stepSettings(['--out', join(folder, 'new'), '--label', 'node20'])
      const report = new Report<StepLine>('Steps', 'cpu-step', settings, '2026-11-24T00:00:00Z', stepTables)
      const results = resultsOf(records)
      await report.write(results)
      const file = join(folder, 'new', '2026-11-24-cpu-step-node20')
      expect(JSON.parse(await readFile(`${file}.json`, 'utf8')).records).toHaveLength(records.length)
      expect(await readFile(`${file}.md`, 'utf8')).toMatch(/^# Steps, 20[\s\S]*\n### Ratios of times, tiny\n/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('the comparison of operations', () => {
  const record = (
    engine: string,
    family: Family,
    line: Partial<OperationLine>,
    more: Partial<PeerRecord<OperationLine>> = {},
  ): PeerRecord<OperationLine> => ({
    ...{ engine, family, threads: 1, round: 1, what: 'matmul 256' },
    line: { lib: '', forward: 1, both: 3, checks: [1, 2], rss_mb: 100, rss_start_mb: 50, ...line },
    ...more,
  })

  it('has a row for each case, and inputs that fit it', () => {
    expect(new Set(operationCases.map(({ row }) => row)).size).toBe(operationCases.length)
    for (const { row, inputs, result } of operationCases) {
      for (const { shape } of [...inputs, ...(result ? [{ shape: result }] : [])]) {
        expect(
          shape.every((n) => n > 0),
          row,
        ).toBe(true)
      }
    }
  })

  it('shows times, rates and ratios to the best of ours, and memory', () => {
    const [times, memory] = operationTables(
      resultsOf([
        record('Sluice plain', 'Sluice', { forward: 2, both: 6 }),
        record('Sluice wide', 'Sluice', { forward: 1, both: 3 }),
        record('PyTorch 1.13.0', 'PyTorch', { forward: 4, both: 6 }),
      ]),
    )
    expect(times.headings.slice(2)).toEqual([
      ...['Sluice plain', 'Sluice wide', 'PyTorch 1.13.0', 'GFLOP/s', 'PyTorch 1.13.0 / ours'],
    ])
    const gflops = (2 * 256 ** 3) / 1e6
    expect(times.rows).toEqual([
      ['matmul 256', 'forward', 2, 1, 4, gflops, 4],
      ['matmul 256', 'with backward', 6, 3, 6, gflops, 2],
    ])
    expect(memory.rows).toEqual([['matmul 256', '100, 50', '100, 50', '100, 50']])
  })

  it('shows the delta rule by length, with time a token', () => {
    const [table] = operationTables(
      resultsOf([record('Sluice wide', 'Sluice', { both: 1.024 }, { what: 'gated delta rule chunked T 512' })]),
    )
    expect(table.rows).toEqual([['chunked', 512, 'Sluice wide', 1, 1.024, 1, 100, 50]])
  })

  it('says which goals are met', () => {
    const ours = (what: string, threads: number, line: Partial<OperationLine>) =>
      record('Sluice wide', 'Sluice', line, { what, threads, simd: 'wide' })
    const records = [
      ours('matmul 256', 1, { forward: 0.4 }),
      ours('matmul 256', 2, { forward: 0.2 }),
      ours('gated delta rule chunked T 256', 1, { both: 2 }),
      ours('gated delta rule chunked T 8192', 1, { both: 96 }),
    ]
    const goals = goalsOfOperations(summarize(records)).map(({ goal, found, isMet }) => [goal, found, isMet])
    expect(goals).toEqual([
      ['matmul 256, Sluice wide, GFLOP/s of one thread: at least 92', (2 * 256 ** 3) / 0.4e6, false],
      ["matmul 256, Sluice wide, two threads' speed over one's: at least 1.8", 2, true],
      ['gated delta rule chunked T 256, Sluice wide, ms of one thread: at most 2.5', 2, true],
      ['gated delta rule chunked T 256, Sluice wide, ms a token at T 8192 over it: at most 1.25', 1.5, false],
    ])
  })

  it('tells whose values differ from those that most find', () => {
    const records = [
      record('Sluice wide', 'Sluice', { checks: [1, 2] }),
      record('PyTorch 1.13.0', 'PyTorch', { checks: [1.00001, 2] }),
      record('TF.js', 'TF.js', { checks: [1, 2.1] }),
    ]
    expect(disagreements(records)).toEqual(['matmul 256, TF.js, 1 thread: VALUES DIFFER: 1,2.1 where most find 1,2'])
    expect(
      disagreements([...records.slice(0, 2), record('jax-js', 'jax-js', { checks: [Number.NaN, 2] })]),
    ).toHaveLength(1)
  })

  // As PyTorch finds them.
  test.each<[row: string, checks: number[]]>([
    ['matmul 256', [5.33414, 5.35045, 5.34044]],
    ['add 16 eager', [0.708758, 0.512433, 0.512433]],
    ['rmsNorm 1024x256', [1.02427, 1.0236, 19.3764]],
    ['embedding 4096x256 16x128', [0.577051, 0.408307]],
    ['AdamW 1024x1024', [0.577308]],
    ['gated delta rule chunked T 256', [0.0271067, 0.05386, 0.0905338, 0.0271651, 0.106663, 0.154259]],
  ])('%s on our device finds the values of the others, and frees what it made', (row, expected) => {
    const cpu = findDevice('cpu')
    const before = cpu.statistics().buffers
    const { forward, both, checks } = measureCase(chosenCases([row])[0], 1)
    expect(forward).toBeGreaterThan(0)
    if (row.startsWith('AdamW')) expect(both).toBeNull()
    else expect(both).toBeGreaterThan(0)
    // Six digits of the numbers above.
    expect(checks).toHaveLength(expected.length)
    checks.forEach((x, i) => {
      expect(Math.abs(x / expected[i] - 1)).toBeLessThan(1e-5)
    })
    expect(cpu.statistics().buffers).toBe(before)
  })
})
