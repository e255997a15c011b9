#!/usr/bin/env node
/** The command line: `sluice <command>`. Each command is one file; this one finds it and reports errors. */
import { SluiceError } from '../errors.ts'
import { noSuch } from '../nearest.ts'

interface Command {
  /** One line for the overview. */
  readonly summary: string
  /** Its options, for `--help`. */
  readonly usage: string
  run(given: string[]): Promise<void>
}

const commands: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./demo.ts')).demo,
  train: async () => (await import('./train.ts')).trainCommand,
  sample: async () => (await import('./sample.ts')).sample,
  inspect: async () => (await import('./inspect.ts')).inspectCommand,
  tasks: async () => (await import('./tasks.ts')).tasksCommand,
  study: async () => (await import('./study.ts')).studyCommand,
  export: async () => (await import('./export.ts')).exportCommand,
  check: async () => (await import('./check.ts')).check,
  info: async () => (await import('./info.ts')).infoCommand,
}

async function main(given: string[]): Promise<void> {
  const [name, ...rest] = given
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    console.log('usage: sluice <command> [options]\n')
    for (const [key, load] of Object.entries(commands)) console.log(`  ${key.padEnd(8)}${(await load()).summary}`)
    console.log('\nsluice <command> --help tells its options.')
    return
  }
  if (!Object.hasOwn(commands, name)) {
    throw new SluiceError('sluice', noSuch('command', name, Object.keys(commands)))
  }
  const command = await commands[name]()
  if (rest.includes('--help') || rest.includes('-h')) {
    console.log(`${command.summary}\n\n${command.usage}`)
    return
  }
  await command.run(rest)
}

/** What to print of an error: one line for what a user can mend, the stack for a fault of Sluice's own. */
function shownError(error: unknown, command: string | undefined): unknown {
  if (error instanceof SluiceError) return error.message
  const { code, syscall, message, name } = error as NodeJS.ErrnoException
  const isRefused = code === 'ERR_ACCESS_DENIED' || name === 'NotCapable'
  const isMendable = syscall !== undefined || code?.startsWith('ERR_PARSE_ARGS') || isRefused
  return isMendable ? `sluice ${command}: ${message.replaceAll('\n', ' ')}` : error
}

// A reader such as head may close the pipe before all is written; that is its right.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

const given = process.argv.slice(2)
main(given).catch((error: unknown) => {
  console.error(shownError(error, given[0]))
  process.exitCode = 1
})
