/** `npm run bench:step`: the training step of our engine. */
import { parseArgs } from 'node:util'
import { setUpCpu } from './cpu.ts'
import { showMachine, thisMachine } from './machine.ts'
import { configNames, oneOf, positiveIntegerOr } from './options.ts'
import { lossAgreement, measureStep, type StepTime, showSteps } from './step.ts'

/** Measures and prints; the exit code is 1 when losses do not agree with the published ones. */
export async function stepCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string' },
      threads: { type: 'string' },
      simd: { type: 'string' },
      steps: { type: 'string' },
      eager: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  const names =
    values.config === undefined ? (['tiny', 'small'] as const) : [oneOf('config', values.config, configNames)]
  const steps = positiveIntegerOr('steps', values.steps, undefined)
  const cpu = setUpCpu({ threads: positiveIntegerOr('threads', values.threads, undefined), simd: values.simd })
  if (!values.json) console.log(showMachine(thisMachine()))
  const times: StepTime[] = []
  for (const name of names) {
    const time = await measureStep(name, cpu, { steps, eager: values.eager })
    times.push(time)
    const { agrees, message } = lossAgreement(time)
    if (!agrees) process.exitCode = 1
    if (values.json) console.log(JSON.stringify(time))
    console.error(message)
  }
  if (!values.json) console.log(`\n${showSteps(times)}\n`)
}
