/** A measurement in a process of its own, which answers with one line of JSON. */
import { spawn } from 'node:child_process'

export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly folder?: string
  /** Beside this process's own variables. */
  readonly environment?: Readonly<Record<string, string>>
}

/** What the process printed as JSON (the last such line), or why there is nothing. */
export type Answer = { readonly line: Readonly<Record<string, unknown>> } | { readonly why: string }

/** The line of an error's message that says most: the one that begins with the error's name, else the last. */
function telling(said: string): string {
  const lines = said.split('\n').filter((line) => line.trim() !== '')
  return lines.find((line) => /^\w*(Error|Exception)\b/.test(line)) ?? lines.at(-1)?.trim() ?? 'it said nothing'
}

/** Undefined for what is no JSON, such as the NaN that Python prints. */
function parsed(line: string | undefined): Record<string, unknown> | undefined {
  try {
    return line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>)
  } catch {
    return undefined
  }
}

/**
 * Runs a command.
 *
 * @param seconds after which it is ended
 */
export function ask({ program, args, folder, environment }: Command, seconds: number): Promise<Answer> {
  return new Promise((answer) => {
    const env = { ...process.env, ...environment }
    const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let printed = ''
    let said = ''
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, seconds * 1000)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    child.on('error', ({ message }) => {
      clearTimeout(timer)
      answer({ why: message })
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const last = parsed(printed.split('\n').findLast((line) => line.startsWith('{')))
      if (isLate) answer({ why: `not done in ${seconds} s` })
      else if (last !== undefined) answer({ line: last })
      else if (signal) answer({ why: `ended by ${signal}: ${telling(said)}` })
      else answer({ why: `${code === 0 ? '' : `exit code ${code}: `}${telling(said || printed)}` })
    })
  })
}
