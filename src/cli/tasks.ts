/** `sluice tasks`: trains every mixer on every toy task from several seeds, and prints the table. */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { device } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { mixerNamed, mixers } from '../lab/mixers.ts'
import { toyTable } from '../lab/toy-table.ts'
import { runToyTask, type ToyResult, toyTaskNamed, toyTasks } from '../lab/toy-tasks.ts'
import { keepText, keptJson } from './files.ts'
import { interruptSignal, wholeNumber } from './options.ts'
import { type ProcessJob, runProcesses } from './processes.ts'

const usage = `usage: sluice tasks [options]

  --tasks LIST    of ${toyTasks.map(({ name }) => name).join(', ')} (all)
  --mixers LIST   of ${Object.keys(mixers).join(', ')} (those that each task compares)
  --seeds LIST    whole numbers with commas between them (1,2,3)
  --steps N       at most so many training steps (each task's own)
  --jobs N        processes at a time (as many as there are processors)
  --folder DIR    where results are kept; those that are there are not run again (runs/tasks)
  --out FILE      write the table there too
  --one           run the one task, mixer and seed in this process and print its result as JSON`

/** Where one result is kept; one with another number of steps is another result. */
const resultFile = (folder: string, task: string, mixer: string, seed: number, steps: number | undefined): string =>
  join(folder, `${task}-${mixer}-${seed}${steps === undefined ? '' : `-steps-${steps}`}.json`)

const show = ({ task, mixer, seed, score, steps, seconds }: ToyResult): string =>
  `${task}, ${mixer}, seed ${seed}: ${(100 * score).toFixed(1)} % after ${steps} steps (${seconds.toFixed(0)} s)`

export const tasksCommand = {
  summary: 'train token mixers on toy tasks and print the table',
  usage,
  async run(given: string[]): Promise<void> {
    const text = { type: 'string' } as const
    const { values } = parseArgs({
      args: given,
      options: {
        tasks: text,
        mixers: text,
        seeds: text,
        steps: text,
        jobs: text,
        folder: text,
        out: text,
        one: { type: 'boolean' },
      },
    })
    const names = values.tasks?.split(',') ?? toyTasks.map(({ name }) => name)
    const mixing = values.mixers?.split(',')
    const seeds = (values.seeds ?? '1,2,3').split(',').map((seed) => wholeNumber('seeds', seed)!)
    const steps = wholeNumber('steps', values.steps)
    for (const name of names) toyTaskNamed(name)
    for (const name of mixing ?? []) mixerNamed(name)
    if (values.one) {
      await device('cpu')
      if (names.length !== 1 || mixing?.length !== 1 || seeds.length !== 1) {
        throw new SluiceError(
          'sluice tasks',
          '--one runs one task, one mixer and one seed: give --tasks, --mixers, --seeds',
        )
      }
      console.log(JSON.stringify(await runToyTask(names[0], mixing[0], seeds[0], { steps })))
      return
    }
    const folder = values.folder ?? join('runs', 'tasks')
    const wanted = names.flatMap((task) =>
      (mixing ?? toyTaskNamed(task).mixers).flatMap((mixer) => seeds.map((seed) => ({ task, mixer, seed }))),
    )
    const results: ToyResult[] = []
    const failures: string[] = []
    const jobs: ProcessJob[] = []
    for (const { task, mixer, seed } of wanted) {
      const path = resultFile(folder, task, mixer, seed, steps)
      const before = (await keptJson('sluice tasks', path)) as ToyResult | undefined
      if (before) {
        results.push(before)
        continue
      }
      const limit = steps === undefined ? [] : ['--steps', String(steps)]
      jobs.push({
        arguments: ['tasks', '--one', '--tasks', task, '--mixers', mixer, '--seeds', String(seed), ...limit],
        async done(output) {
          const result = JSON.parse(output) as ToyResult
          await keepText('sluice tasks', path, `${JSON.stringify(result)}\n`)
          results.push(result)
          console.log(`${results.length}/${wanted.length} ${show(result)}`)
        },
        failed(reason) {
          failures.push(`${task}, ${mixer}, seed ${seed}: ${reason}`)
          console.error(failures.at(-1))
        },
      })
    }
    const interrupt = interruptSignal()
    await runProcesses(jobs, wholeNumber('jobs', values.jobs) || availableParallelism(), interrupt.signal)
    interrupt.release()
    const table = toyTable(results)
    console.log(`\n${table}`)
    if (interrupt.signal.aborted) throw new SluiceError('sluice tasks', 'stopped; the same command goes on from here')
    if (failures.length > 0) throw new SluiceError('sluice tasks', `${failures.length} of ${wanted.length} runs failed`)
    if (values.out !== undefined) await keepText('sluice tasks', values.out, tablePage(table, given))
  },
}

function tablePage(table: string, given: readonly string[]): string {
  return `# Toy tasks

Made by \`sluice tasks ${given.join(' ')}\`. Each row is a model of two layers trained from several seeds on the same fresh
batches as its neighbours; scores are means over seeds, with the lowest and the highest. Training stops early where the
held-out accuracy leaves nothing to learn. \`src/lab/toy-tasks.ts\` has every setting.

${table}`
}
