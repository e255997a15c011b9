/**
 * The translations of this package's own kernels. The build writes this file anew, with all of them; in the sources it is
 * empty, and gpu.js translates each kernel when it is first launched.
 */
import type { Translations } from './translation.ts'

export const translations: Translations = new Map()
