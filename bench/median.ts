/** The upper median: a time that was measured, of however many. */
export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]
