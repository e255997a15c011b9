/** The page of trust: what `npm run trust` found, as Markdown. */
import { tableInMarkdown } from '../table.ts'
import type { TrustRow } from './row.ts'

export const trustHeadings = ['test', 'tries', 'faults injected', 'losses', 'worst']

/** What one suite gave, and where. */
export interface Tried {
  readonly name: string
  readonly rows: readonly TrustRow[]
  readonly seconds: number
  readonly machine: string
}

interface Section {
  readonly title: string
  readonly about: string
}

const sections: Readonly<Record<string, Section>> = {
  accuracy: {
    title: 'Accuracy',
    about: 'No function may be further from the exact value than `docs/accuracy.md` says, which has them all.',
  },
  crash: {
    title: 'Crashes',
    about: `\`sluice train\` is ended by SIGKILL at moments that are uniform over its time, or when the folder shows a save half done; it is resumed,
and killed again. At its end parameters, moments, log, generators and configuration are compared with those of the run that nobody
killed, bit for bit; times are left out. \`sluice train --resume run.zip\` is killed while it unpacks. Checkpoints of other versions and foreign files are
refused by name, and so is a checkpoint with any one bit changed.`,
  },
  soak: {
    title: 'Long runs, and runs side by side',
    about: `A small hybrid is trained in a process of its own. After a tenth of the steps and at the end its buffers, handles, threads and heap are
counted; the heap's bound allows for what V8 compiles. The process must end by itself, and leave none behind. *Together*: programs of two models,
captured and eager, on two devices, and their readers, run in random turns, and each must give the bits that it gives alone.`,
  },
  hostile: {
    title: 'Hostile files',
    about: `What a reader is given: whole files damaged, JSON of random shape, and inputs from a fuzzer that keeps what reaches new blocks of code. Each is
read, or refused by an error that says why, within 3 s of processor time and 1 µs a byte, and within 64 times its size and 32 MiB of memory. Meanwhile no code may be made
from text, no prototype changed, and no file touched outside of the folder. *Bombs* are files made to be costly: deep nesting, long headers,
archives that claim gigabytes. The worst is the longest time and the most memory of one input.`,
  },
  environments: {
    title: 'Environments',
    about: `The packed package trains two models with something missing, or in another runtime: either the numbers are those of Node with everything
(the same bits where the same kernels run, else within a bound from how far rounding moves a loss), or it stops with one sentence that says what is missing.`,
  },
  package: {
    title: 'The package',
    about: `As a consumer gets it: \`npm install --ignore-scripts\` of the packed file into an empty folder. Sizes of bundles are minified and
gzipped. \`docs/architecture.md\` says what each dependency is for; \`npm audit\` has to be asked where the registry answers it.`,
  },
}

function section({ name, rows }: Tried): string {
  const cells = rows.map(({ test, tries, faults, losses, worst }) => [
    test,
    tries.toLocaleString('en'),
    faults,
    losses.toLocaleString('en'),
    worst,
  ])
  const { title, about } = sections[name]
  return `${tableInMarkdown({ title, headings: trustHeadings, rows: cells })}\n\n${about}`
}

export function trustPage(tried: readonly Tried[]): string {
  const unmeasured = Object.keys(sections).filter((name) => tried.every((each) => each.name !== name))
  return `# Trust

What was done to break it, by \`npm run trust -- --write\`. The gate of every change runs a shorter form. A *loss* is a try that crashed, hung,
lost or left something, or came to another result than the undisturbed one.

${tried.map(section).join('\n\n')}

Measured:

${tried.map(({ name, seconds, machine }) => `- ${sections[name].title}: ${machine}; ${seconds} s`).join('\n')}
${unmeasured.map((name) => `- ${sections[name].title}: not measured whole yet`).join('\n')}
`
}
