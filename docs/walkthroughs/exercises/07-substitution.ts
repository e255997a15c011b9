/**
 * Exercise: the corrections of a chunk.
 *
 * Row i of (I + A) U = R says u_i + Σ_{j<i} A_ij u_j = r_i, where only earlier corrections occur. So the first row
 * gives u_0, and with it the second gives u_1, and so on.
 *
 * TODO: U. No inverse, no library; two loops and a sum.
 */

/**
 * @param A [C][C]; what is on and above the diagonal does not count
 * @param R [C][V]
 * @returns U [C][V]
 */
export function corrections(_A: readonly (readonly number[])[], R: readonly (readonly number[])[]): number[][] {
  return R.map((row) => [...row])
}
