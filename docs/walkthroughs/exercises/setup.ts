/** The same samples at every run, and failures that say what was expected. */
import fc from 'fast-check'

fc.configureGlobal({ seed: 1, includeErrorInReport: true })
