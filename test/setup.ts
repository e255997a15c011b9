/** One seed for every property, so that a failure is seen again by running again; SLUICE_SEED=n npm test explores others. */
import fc from 'fast-check'
import { SEED } from './check/runs.ts'

fc.configureGlobal({ seed: SEED })

// Two workers of the test runner share the machine already. What threads do is tested where a test asks for them, and
// SLUICE_THREADS=2 npm test runs everything on two.
process.env.SLUICE_THREADS ??= '1'
