/** Forward substitution: each row takes off what the rows before it, solved already, account for. */

/**
 * @param A [C][C]; what is on and above the diagonal does not count
 * @param R [C][V]
 * @returns U [C][V]
 */
export function corrections(A: readonly (readonly number[])[], R: readonly (readonly number[])[]): number[][] {
  const U: number[][] = []
  for (const [i, row] of R.entries()) {
    U.push(row.map((r, column) => U.reduce((rest, earlier, j) => rest - A[i][j] * earlier[column], r)))
  }
  return U
}
