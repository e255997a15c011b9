/** Turns of the event loop, as Node takes them and as browsers do. */
import { afterEach, describe, expect, test, vi } from 'vitest'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.resetModules()
})

describe.each(['setImmediate', 'messages'])('a turn by %s', (way) => {
  const load = async () => {
    vi.resetModules()
    if (way === 'messages') vi.stubGlobal('setImmediate', undefined)
    return import('../src/turn.ts')
  }

  test('lets timers in, which promises that are kept do not', async () => {
    const { turn } = await load()
    let rang = false
    setTimeout(() => (rang = true), 0)
    for (let i = 0; i < 1000; i++) await Promise.resolve()
    expect(rang).toBe(false)
    const end = performance.now() + 5000
    while (!rang && performance.now() < end) await turn()
    expect(rang).toBe(true)
  })

  test('comes to each that waits, in their order', async () => {
    const { turn } = await load()
    const order: number[] = []
    await Promise.all([0, 1, 2, 3].map((i) => turn().then(() => order.push(i))))
    expect(order).toEqual([0, 1, 2, 3])
  })

  test('is due when none was taken for a while, and not at once again', async () => {
    const { turnWhenDue } = await load()
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1000)
    expect(turnWhenDue()).toBeInstanceOf(Promise)
    clock.mockReturnValue(1009)
    expect(turnWhenDue()).toBeUndefined()
    clock.mockReturnValue(1010)
    expect(turnWhenDue()).toBeInstanceOf(Promise)
    clock.mockRestore()
  })
})
