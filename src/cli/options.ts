/** Reading command lines. */
import { SluiceError } from '../errors.ts'

/** A whole number given as `--name value`. */
export function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new SluiceError('sluice', `--${name} must be a whole number from 0, got '${text}'`)
  }
  return value
}

/** A number given as `--name value`. */
export function finiteNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw new SluiceError('sluice', `--${name} must be a number, got '${text}'`)
  }
  return value
}

/** A signal that is aborted by the first Ctrl-C; a second one ends the process at once. */
export function interruptSignal(): { signal: AbortSignal; release(): void } {
  const controller = new AbortController()
  const onInterrupt = () => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort()
  }
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onInterrupt)
  return {
    signal: controller.signal,
    release() {
      process.off('SIGINT', onInterrupt)
      process.off('SIGTERM', onInterrupt)
    },
  }
}
