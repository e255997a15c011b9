import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LiveDisplay, type LiveState, type LiveStream, liveLine, textWidth } from '../../src/train/live.ts'

const state: LiveState = {
  name: 'gated',
  step: 500,
  steps: 2000,
  loss: 1.8421,
  tokensPerSecond: 11_120,
  seconds: 46,
}

/** A stream that keeps what is written, on a clock that only the test moves. */
function setUp(stream: Omit<LiveStream, 'write'>, options: { smoothing?: number } = {}) {
  const written: string[] = []
  const clock = { seconds: 0 }
  const display = new LiveDisplay({
    smoothing: 0,
    ...options,
    stream: { ...stream, write: (text: string) => written.push(text) },
    now: () => clock.seconds,
  })
  return { display, clock, written, text: () => written.join('') }
}

/** What a terminal would show after `text`: carriage return, erase to the end of line, new line. */
function screen(text: string): string[] {
  const lines = ['']
  let column = 0
  for (let at = 0; at < text.length; at++) {
    const rest = text.slice(at)
    const row = lines.length - 1
    if (rest.startsWith('\x1b[K')) {
      lines[row] = lines[row]!.slice(0, column)
      at += 2
    } else if (text[at] === '\r') column = 0
    else if (text[at] === '\n') {
      lines.push('')
      column = 0
    } else {
      lines[row] = lines[row]!.slice(0, column) + text[at] + lines[row]!.slice(column + 1)
      column++
    }
  }
  return lines
}

beforeEach(() => {
  vi.stubEnv('TERM', 'xterm')
})

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('liveLine', () => {
  it('holds name, steps, share, loss, speed, time so far and time left', () => {
    expect(liveLine(state)).toBe('gated  500/2,000  25%  loss 1.842  11.1k tok/s  0:46  2:18 left')
    expect(liveLine({ ...state, heldOutLoss: 1.9 }, 100)).toBe(
      'gated  500/2,000  25%  loss 1.842  held-out 1.900  11.1k tok/s  0:46  2:18 left',
    )
  })

  it('counts time left from where this session began', () => {
    // 100 steps took 46 s, 1500 remain: 690 s.
    expect(liveLine({ ...state, firstStep: 400 })).toContain('11:30 left')
  })

  it('knows no time left before the first step and after the last', () => {
    expect(liveLine({ ...state, step: 0, seconds: 0 })).toBe('gated  0/2,000  0%  loss 1.842  11.1k tok/s  0:00')
    expect(liveLine({ ...state, step: 2000 })).toBe('gated  2,000/2,000  100%  loss 1.842  11.1k tok/s  0:46')
    expect(liveLine({ ...state, firstStep: 500 })).not.toContain('left')
  })

  it('shows a loss that is not finite as it is', () => {
    expect(liveLine({ ...state, loss: Number.NaN })).toContain('loss NaN')
    expect(liveLine({ ...state, loss: Number.POSITIVE_INFINITY })).toContain('loss Infinity')
  })

  it('gives up the least needed parts first', () => {
    const full = { ...state, heldOutLoss: 1.9 }
    const wide = liveLine(full, 200)
    expect(wide).toHaveLength(79)
    expect(liveLine(full, 78)).toBe('gated  500/2,000  25%  loss 1.842  11.1k tok/s  0:46  2:18 left')
    expect(liveLine(full, 62)).toBe('gated  500/2,000  25%  loss 1.842  11.1k tok/s  2:18 left')
    expect(liveLine(full, 56)).toBe('gated  500/2,000  25%  loss 1.842  2:18 left')
    expect(liveLine(full, 43)).toBe('gated  500/2,000  loss 1.842  2:18 left')
    expect(liveLine(full, 38)).toBe('gated  500/2,000  loss 1.842')
    expect(liveLine(full, 20)).toBe('gated  500/2,000  l\u2026')
    expect(liveLine(full, 0)).toBe('')
  })

  it('is never wider than the terminal, and one line, whatever the name', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.integer({ min: 0, max: 140 }),
        fc.nat({ max: 100_000 }),
        fc.double({ min: -1e3, max: 1e3 }),
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        (name, columns, step, loss, tokensPerSecond) => {
          const line = liveLine({ name, step, steps: 100_000, loss, tokensPerSecond, seconds: step }, columns)
          expect(textWidth(line)).toBeLessThanOrEqual(columns)
          expect(line).not.toMatch(/\p{Cc}/u)
        },
      ),
      { numRuns: 400 },
    )
  })

  it('lets no control character of a name through', () => {
    expect(liveLine({ ...state, name: 'a\x1b[2J\nb\r' })).toMatch(/^a\u241b\[2J b {2}500/)
  })

  it('counts double-width and combining characters', () => {
    expect(textWidth('\u6ce8\u610f')).toBe(4)
    expect(textWidth('e\u0301')).toBe(1)
    expect(textWidth('\u{1f433}')).toBe(2)
  })
})

describe('LiveDisplay on a terminal', () => {
  it('rewrites one line in place and ends it', () => {
    const { display, clock, text } = setUp({ isTTY: true, columns: 100 })
    for (let step = 1; step <= 5; step++) {
      display.update({ ...state, step, loss: 6 - step })
      clock.seconds += 1
    }
    expect(screen(text())).toHaveLength(1)
    display.finish()
    expect(screen(text())).toEqual([liveLine({ ...state, step: 5, loss: 1 }, 99), ''])
  })

  it('leaves nothing of a longer line behind a shorter one', () => {
    const { display, clock, text } = setUp({ isTTY: true, columns: 100 })
    display.update({ ...state, step: 1999 })
    clock.seconds += 1
    display.update({ ...state, step: 2000 })
    display.finish()
    expect(screen(text())).toEqual([liveLine({ ...state, step: 2000 }, 99), ''])
  })

  it('leaves the last column free, where a line would wrap', () => {
    const columns = textWidth(liveLine(state))
    const { display, text } = setUp({ isTTY: true, columns })
    display.update(state)
    const shown = screen(text())[0]!
    expect(shown).toBe(liveLine(state, columns - 1))
    expect(textWidth(shown)).toBeLessThan(columns)
  })

  it('takes 80 columns where the terminal does not say', () => {
    for (const columns of [0, undefined]) {
      const { display, text } = setUp({ isTTY: true, columns })
      display.update({ ...state, heldOutLoss: 1.9 })
      expect(screen(text())).toEqual([liveLine({ ...state, heldOutLoss: 1.9 }, 79)])
    }
  })

  it('redraws at most ten times a second, and shows the last state when finished', () => {
    const { display, clock, written, text } = setUp({ isTTY: true, columns: 100 })
    for (let step = 1; step <= 100; step++) {
      display.update({ ...state, step })
      clock.seconds += 0.01
    }
    expect(written.length).toBeGreaterThanOrEqual(9)
    expect(written.length).toBeLessThanOrEqual(10)
    display.finish()
    expect(screen(text())[0]).toContain('100/2,000')
  })

  it('gives each run its own line', () => {
    const { display, text } = setUp({ isTTY: true, columns: 100 })
    display.update({ ...state, step: 2000 })
    display.update({ ...state, name: 'ungated', step: 1 })
    display.finish()
    const lines = screen(text())
    expect(lines).toHaveLength(3)
    expect(lines[0]).toMatch(/^gated {2}2,000/)
    expect(lines[1]).toMatch(/^ungated {2}1\//)
  })

  it('prints messages above the line', () => {
    const { display, text } = setUp({ isTTY: true, columns: 100 })
    display.update(state)
    display.log('checkpoint written')
    expect(screen(text())).toEqual(['checkpoint written', liveLine(state, 99)])
    display.finish()
    display.log('done')
    expect(screen(text())).toEqual(['checkpoint written', liveLine(state, 99), 'done', ''])
  })

  it('smooths the loss of each run by itself', () => {
    const { display, clock, text } = setUp({ isTTY: true, columns: 100 }, { smoothing: 0.9 })
    display.update({ ...state, loss: 4 })
    clock.seconds += 1
    display.update({ ...state, loss: 2 })
    // (0.9 * 4 + 2) / 1.9 = 2.947
    expect(screen(text())[0]).toContain('loss 2.947')
    display.update({ ...state, name: 'ungated', loss: 3 })
    expect(screen(text())[1]).toContain('loss 3.000')
  })
})

describe('LiveDisplay without a terminal', () => {
  it('prints plain lines, one in ten seconds at most, and the last state', () => {
    const { display, clock, text } = setUp({})
    for (let step = 1; step <= 250; step++) {
      display.update({ ...state, step })
      // An eighth adds up without rounding.
      clock.seconds += 0.125
    }
    display.finish()
    const lines = text().split('\n')
    // At 0, 10, 20 and 30 s, then the end.
    expect(lines.map((line) => /(\d+)\/2,000/.exec(line)?.[1])).toEqual(['1', '81', '161', '241', '250', undefined])
    expect(text().replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  })

  it('does not print the last state twice', () => {
    const { display, text } = setUp({ isTTY: false })
    display.update(state)
    display.finish()
    display.finish()
    expect(text()).toBe(`${liveLine(state, Infinity)}\n`)
  })

  it('writes whole lines however narrow, and messages as they are', () => {
    const { display, text } = setUp({ columns: 20 })
    display.update({ ...state, heldOutLoss: 1.9 })
    display.log('saved')
    expect(text()).toBe(`${liveLine({ ...state, heldOutLoss: 1.9 }, Infinity)}\nsaved\n`)
  })

  it('takes a dumb terminal for none', () => {
    vi.stubEnv('TERM', 'dumb')
    const { display, text } = setUp({ isTTY: true, columns: 100 })
    display.update(state)
    expect(text()).toBe(`${liveLine(state, Infinity)}\n`)
  })

  it('prints nothing when nothing happened', () => {
    const { display, text } = setUp({})
    display.finish()
    expect(text()).toBe('')
  })
})
