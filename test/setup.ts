/** One seed for every property, so that a failure is seen again by running again; SLUICE_SEED=n npm test explores others. */
import fc from 'fast-check'
import { SEED } from './check/runs.ts'

fc.configureGlobal({ seed: SEED })
