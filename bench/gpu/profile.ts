/** What a profiler saw between two of its tables. */
import type { ProfileRow } from '../../src/device/webgpu/profiler.ts'

/** The rows of `after` without what was in `before`, the largest first. */
export function difference(before: readonly ProfileRow[], after: readonly ProfileRow[]): ProfileRow[] {
  const earlier = new Map(before.map((row) => [row.kernel, row]))
  const rows = after
    .map((row) => ({
      ...row,
      calls: row.calls - (earlier.get(row.kernel)?.calls ?? 0),
      milliseconds: row.milliseconds - (earlier.get(row.kernel)?.milliseconds ?? 0),
    }))
    .filter(({ calls }) => calls > 0)
  const total = rows.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
  return rows
    .map((row) => ({ ...row, share: total > 0 ? row.milliseconds / total : 0 }))
    .sort((a, b) => b.milliseconds - a.milliseconds)
}
