/** A page that a command of Vite serves, opened in headless Chromium. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'

export const hasBrowser = existsSync(executablePath)

/** The address that a server prints when it is ready. */
function ready(server: ReturnType<typeof spawn>): Promise<string> {
  return new Promise((done, fail) => {
    let said = ''
    const hear = (bytes: Buffer): void => {
      said += bytes
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
      const address = /http:\/\/[\w.]+:\d+\//.exec(said.replace(/\u001b\[\d*m/g, ''))
      if (address) done(address[0])
    }
    server.stdout?.on('data', hear)
    server.stderr?.on('data', hear)
    server.on('exit', (code) => fail(new Error(`the server ended with ${code}: ${said}`)))
  })
}

/**
 * What the page shows when its 60 steps are done: 'step 60: loss 0.0123'.
 *
 * @throws Error with what was on the console, when an error was, or the page does not come so far within two minutes
 */
export async function shown(folder: string, vite: string, ...command: string[]): Promise<string> {
  const server = spawn(process.execPath, [vite, ...command, '--port', '0', '--host', '127.0.0.1'], { cwd: folder })
  try {
    const address = await ready(server)
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    try {
      const page = await browser.newPage()
      const errors: string[] = []
      page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
      page.on('pageerror', (error) => errors.push(String(error)))
      page.on('response', (answer) => {
        if (answer.status() >= 400 && !answer.url().endsWith('/favicon.ico'))
          errors.push(`${answer.status()} ${answer.url()}`)
      })
      await page.goto(address)
      const output = page.locator('#loss')
      await output
        .filter({ hasText: /step 60|failed/ })
        .waitFor({ timeout: 120_000 })
        .catch(async (error: Error) => errors.push(`${error.message}; it shows ${await output.textContent()}`))
      const text = (await output.textContent()) ?? ''
      const serious = errors.filter((error) => !/favicon|Failed to load resource/.test(error))
      if (serious.length > 0) throw new Error(serious.join('\n'))
      return text
    } finally {
      await browser.close()
    }
  } finally {
    server.removeAllListeners('exit')
    server.kill()
  }
}
