/** Variables of the environment. */

/** Its value; undefined where it is empty or not set, where there is no environment (a browser), and where it may not be read (Deno). */
export function environmentVariable(name: string): string | undefined {
  try {
    return globalThis.process?.env?.[name] || undefined
  } catch {
    return undefined
  }
}
