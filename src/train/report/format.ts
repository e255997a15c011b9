/**
 * Numbers as people read them: 1.2k, 3 min 05 s, 12%.
 *
 * Shared by the report and the terminal's live line. A number that is not finite is written out, never hidden.
 */

/** `12,345,678`. */
export function formatInteger(value: number): string {
  if (!Number.isFinite(value)) return formatNotFinite(value)
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',')
}

/** Three figures and a suffix: 870, 1.23k, 12.3k, 123k, 1.23M. Small numbers keep two figures: 0.42. */
export function formatCompact(value: number): string {
  if (!Number.isFinite(value)) return formatNotFinite(value)
  const sign = value < 0 ? '-' : ''
  let size = Math.abs(value)
  if (size < 9.95) return sign + trimZeros(size.toPrecision(2))
  let suffix = ''
  // 999.5 already rounds to 1000 at three figures.
  for (const next of ['k', 'M', 'G', 'T']) {
    if (size < 999.5) break
    size /= 1000
    suffix = next
  }
  const decimals = suffix === '' || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2
  return sign + trimZeros(size.toFixed(decimals)) + suffix
}

function trimZeros(text: string): string {
  if (text.includes('e')) return text
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** A fixed number of decimals; -0.000 is written 0.000. */
export function formatFixed(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return formatNotFinite(value)
  const text = value.toFixed(decimals)
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '\u2212')
}

/** A share in [0, 1] as a percentage: 0.123 is `12%`, 0.0042 is `0.4%`. */
export function formatPercent(share: number): string {
  if (!Number.isFinite(share)) return formatNotFinite(share)
  const percent = share * 100
  const small = Math.abs(percent) < 9.95 && Number(percent.toFixed(1)) % 1 !== 0
  return `${formatFixed(percent, small ? 1 : 0)}%`
}

/** A duration in words: `0.8 s`, `12 s`, `3 min 05 s`, `2 h 07 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return formatNotFinite(seconds)
  if (seconds < 9.95) return `${trimZeros(seconds.toFixed(1))} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${twoDigits(whole % 60)} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${twoDigits(minutes % 60)} min`
}

/** A duration as a clock: `0:07`, `12:34`, `1:02:03`. */
export function formatClock(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '-:--'
  const whole = Math.round(seconds)
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  const rest = twoDigits(whole % 60)
  return hours > 0 ? `${hours}:${twoDigits(minutes)}:${rest}` : `${minutes}:${rest}`
}

function twoDigits(value: number): string {
  return value.toString().padStart(2, '0')
}

function formatNotFinite(value: number): string {
  if (Number.isNaN(value)) return 'not a number'
  return value > 0 ? 'infinite' : '\u2212infinite'
}
