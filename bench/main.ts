/** The command line of the benches that run on the cpu. */
import { SluiceError } from '../src/errors.ts'
import { operationsCommand } from './operations-command.ts'
import { compareSteps } from './peers/compare-steps.ts'
import { stepCommand } from './step-command.ts'

const usage = `usage: npm run bench       -- --peers FOLDER [options]   our training step beside the peers'
       npm run bench:step  -- [options]                  our training step
       npm run bench:ops   -- [options]                  every operation of ours
       npm run bench:ops   -- --peers FOLDER [options]   the hot ones beside the peers'
       npm run bench:length -- [options]                 a layer at growing length: --threads, --simd, --longest, --passes, --out

npm run bench:step
  --config NAME   tiny, small or medium (tiny and small)
  --threads N     of the cpu device (as many as there are processors)
  --simd NAME     plain, relaxed or wide vector instructions (the fastest that works)
  --steps N       training steps (200 tiny, 60 small, 12 medium)
  --eager         operation by operation; captured as one program unless given
  --json          a line of JSON for each step, under the names of the peers' scripts
npm run bench:ops without --peers
  --only NAME     one operation
  --threads N, --simd NAME
  --time MS       for each operation and pass (200, about a minute in all)
  --json FILE     write the times to a file
with --peers
  --peers FOLDER  the peers' scripts, with the npm peers installed beside them
  --node PATH     the Node that runs the engines in JavaScript (this one)
  --python LIST   Pythons that have PyTorch, with commas between them (python3)
  --openblas DIR  where Debian's PyTorch finds OpenBLAS
  --threads LIST  of numbers of threads (as many as there are processors)
  --rounds N      times that the engines take turns (3)
  --engines LIST  of Sluice, limit, PyTorch, jax-js, TF.js (all)
  --simd LIST     of plain, relaxed, wide (all)
  --limit S       seconds that one process may take (600)
  --out FOLDER    where results are written (bench/results)
  --label NAME    at the end of the results' names
  --tables FILE   no measuring: tables in Markdown from a results file
  --configs LIST  training step: of tiny, small, medium (all)
  --steps N       training step: number of steps (each script's own)
  --only LIST     operations: rows that start with these words (all)
  --time MS       operations: for each pass of each case (300)`

const commands: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  compare: compareSteps,
  step: stepCommand,
  ops: operationsCommand,
}

const [name = 'compare', ...rest] = process.argv.slice(2)
const command = commands[name]
try {
  if (!command || rest.includes('--help')) console.log(usage)
  else await command(rest)
} catch (error) {
  if (error instanceof SluiceError) console.error(`bench: ${error.message}`)
  else console.error(error instanceof Error ? `bench: ${error.message} (--help lists the options)` : error)
  process.exitCode = 1
}
