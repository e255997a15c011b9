/** How many samples a property takes, and from which seed: SLUICE_SEED=7 npm test explores others. */

export const RUNS = 200

/** Fixed unless told otherwise, so that a failure is seen again by running again. */
export const SEED = Number(process.env.SLUICE_SEED ?? 20261123)
