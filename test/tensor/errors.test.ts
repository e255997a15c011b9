/** What errors say, and whose line they name. */
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SluiceError, showShape, stackHere, userPlace } from '../../src/errors.ts'
import { ones, zeros } from '../../src/index.ts'

/** Folder of the sources, as stacks name it: with and without the scheme. */
const own = fileURLToPath(new URL('../../', import.meta.url))
const ownUrl = new URL('../../', import.meta.url).href

describe('SluiceError', () => {
  test('names the operation and this line', () => {
    const line = Number(/errors\.test\.ts:(\d+)/.exec(new Error().stack ?? '')?.[1])
    const error = new SluiceError('matmul', '[4, 3] @ [4, 5]: inner sizes 3 and 4 differ')
    expect(error.message).toBe(`matmul: [4, 3] @ [4, 5]: inner sizes 3 and 4 differ (at errors.test.ts:${line + 1})`)
    expect(error.operation).toBe('matmul')
    expect(error.name).toBe('SluiceError')
    expect(error).toBeInstanceOf(Error)
    expect(error.stack).toContain('errors.test.ts')
  })

  test('names the line that called, not the one that threw', () => {
    const line = Number(/errors\.test\.ts:(\d+)/.exec(new Error().stack ?? '')?.[1])
    expect(() => ones([2]).add(zeros([3]))).toThrow(`(at errors.test.ts:${line + 1})`)
  })
})

describe('userPlace', () => {
  const v8 = (...frames: string[]) => `Error: message\n${frames.map((frame) => `    at ${frame}`).join('\n')}`

  test('reads stacks of V8', () => {
    expect(
      userPlace(
        v8(
          `new SluiceError (${ownUrl}src/errors.ts:53:5)`,
          `Object.shape (${own}src/ops/matmul.ts:31:13)`,
          `cell (${own}kernels/matmul.ts:3:1)`,
          'node:internal/process/task_queues:95:5',
          'step (file:///home/user/train.ts:12:7)',
          'main (file:///home/user/main.ts:99:7)',
        ),
      ),
    ).toBe('train.ts:12')
    expect(userPlace(v8('file:///home/user/train.ts:3:1'))).toBe('train.ts:3')
    expect(userPlace(v8('async Promise.all (index 0)', 'async main (/home/user/train.ts:4:9)'))).toBe('train.ts:4')
    expect(userPlace(v8('async file:///home/user/train.ts:5:9'))).toBe('train.ts:5')
    expect(userPlace(v8('new Layer (http://localhost:5173/layer.ts?t=1:6:9)'))).toBe('layer.ts?t=1:6')
    expect(userPlace(v8('step (C:\\home\\train.ts:7:9)'))).toBe('train.ts:7')
  })

  test('reads stacks of Firefox and Safari', () => {
    const own = new URL('../../', import.meta.url).href
    expect(
      userPlace(
        `SluiceError@${own}src/errors.ts:53:5\nadd@${own}src/ops/x.ts:1:1\nstep@http://localhost/train.js:8:9\n`,
      ),
    ).toBe('train.js:8')
    expect(userPlace('async*step@http://localhost/train.js:9:9\n')).toBe('train.js:9')
    expect(userPlace('@http://localhost/train.js:10:3\n')).toBe('train.js:10')
    expect(userPlace('forEach@[native code]\nglobal code@http://localhost/train.js:11:3')).toBe('train.js:11')
    expect(userPlace('module code@http://localhost/train.js:12:3')).toBe('train.js:12')
  })

  test('passes over the runtime, installed packages and compiled loops', () => {
    expect(
      userPlace(
        v8(
          `addLoop (eval at makeFlatLoop (${own}src/device/plain.ts:77:10), <anonymous>:4:20)`,
          'Array.map (<anonymous>)',
          'native',
          'runTest (/home/user/node_modules/vitest/dist/run.js:1:2)',
          'node:internal/main:1:1',
          'step (/home/user/train.ts:20:1)',
        ),
      ),
    ).toBe('train.ts:20')
  })

  test('is empty where no frame is the user’s', () => {
    expect(userPlace('')).toBe('')
    expect(userPlace(v8(`add (${own}src/ops/elementwise.ts:1:1)`))).toBe('')
    expect(userPlace('Error: without a stack')).toBe('')
  })

  test('never mistakes a message for a frame', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (message) => {
        fc.pre(!message.includes('\n') && !/:\d+:\d+/.test(message))
        expect(userPlace(`Error: ${message}\n    at step (/home/user/train.ts:20:1)`)).toBe('train.ts:20')
      }),
      { numRuns: 200 },
    )
  })

  test('reads a stack taken earlier', () => {
    const stack = stackHere()
    expect(userPlace(stack())).toMatch(/^errors\.test\.ts:\d+$/)
  })
})

test('showShape writes a shape as a list', () => {
  expect([showShape([]), showShape([4]), showShape([4, 3])]).toEqual(['[]', '[4]', '[4, 3]'])
})
