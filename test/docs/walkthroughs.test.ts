/** Every page prints, draws and says what its code gives; every exercise starts red and can be solved. */
import { describe, expect, it } from 'vitest'
import { comparePage } from '../../docs/walkthroughs/tools/compare.ts'
import { exerciseNames, runExercises } from '../../docs/walkthroughs/tools/exercises.ts'
import { parsePage, readPages, showFault } from '../../docs/walkthroughs/tools/page.ts'
import { picturesAgree } from '../../docs/walkthroughs/tools/picture-difference.ts'
import { report } from '../../docs/walkthroughs/tools/report.ts'
import { runPage } from '../../docs/walkthroughs/tools/run-page.ts'
import { typeCheck } from '../../docs/walkthroughs/tools/type-check.ts'
import { withOutputs } from '../../docs/walkthroughs/tools/write-page.ts'

const pages = readPages()

/** A page that trains, or thirty test files, on a machine that does other things too. */
const BUSY = 600_000

describe('the pages', () => {
  it.each(pages)(
    '$path prints and draws what it says',
    async (page) => {
      const faults = comparePage(page, await runPage(page))
      if (faults.length > 0)
        throw new Error(`${faults.map(showFault).join('\n')}\nnpm run walkthroughs rewrites outputs`)
    },
    BUSY,
  )

  it('type-check', async () => {
    expect(await typeCheck(pages)).toEqual([])
  })

  it('name their exercises', () => {
    const text = pages.flatMap(({ lines }) => lines).join('\n')
    expect(exerciseNames().filter((name) => !text.includes(`](exercises/${name}.ts)`))).toEqual([])
  })
})

describe('the exercises', () => {
  const names = exerciseNames()

  it(
    'can be solved: every solution is green',
    async () => {
      const red = (await runExercises(names, 'solution')).filter(({ isGreen }) => !isGreen)
      expect(red).toEqual([])
    },
    BUSY,
  )

  it(
    'have something to do: every start is red, and its test loads',
    async ({ task, skip }) => {
      const results = await runExercises(names, 'start')
      for (const { name, tests, problem } of results) {
        expect(problem, name).toBe('')
        expect(tests.length, name).toBeGreaterThan(0)
      }
      const solved = results.filter(({ isGreen }) => isGreen).map(({ name }) => name)
      // A reader's copy may hold solutions; the one that is published may not.
      if (solved.length > 0 && !process.env.CI) {
        task.meta.leftOut = `solved in this copy: ${solved.join(', ')}`
        skip()
      }
      expect(solved, 'green at the start: solved already, or no exercise').toEqual([])
    },
    BUSY,
  )
})

describe('the tools', () => {
  const source = ['# Page', '', 'It is 0.5, and 0.7.', '', '```ts', 'console.log(1 / 2)', 'console.log(2)', '```', '']
  const page = (...more: string[]) => parsePage('99-page.md', [...source, ...more].join('\n'))
  const run = { outputs: new Map([[0, '0.5\n2']]), pictures: new Map<string, string>(), remarks: '' }
  const faultsOf = (...more: string[]) => comparePage(page(...more), run).map(showFault)

  it('run blocks in order, with the page’s line numbers', async () => {
    expect((await runPage(page())).outputs).toEqual(run.outputs)
    const broken = page('```ts', '', "throw new Error('here')", '```')
    await expect(runPage(broken)).rejects.toThrow(/99-page\.md:12/)
  })

  it('find what differs, and where', () => {
    expect(faultsOf('```text', '0.5', '3', '```')).toEqual([
      'docs/walkthroughs/99-page.md:12: expected «3», found «2»',
      'docs/walkthroughs/99-page.md:3: 0.7 is printed by no block',
    ])
    expect(faultsOf()[0]).toBe('docs/walkthroughs/99-page.md:9: expected nothing, found «0.5»')
  })

  it('write what was found', () => {
    const written = withOutputs(page('```text', 'old', '```', 'after 0.5'), run.outputs)
    expect(written.split('\n').slice(8)).toEqual(['', '```text', '0.5', '2', '```', 'after 0.5'])
    expect(withOutputs(parsePage('99-page.md', written), run.outputs)).toBe(written)
    expect(withOutputs(page('after'), run.outputs).split('\n').slice(8)).toEqual([
      '',
      '```text',
      '0.5',
      '2',
      '```',
      '',
      'after',
    ])
  })

  it('tell pictures apart that look different, and only those', () => {
    const svg = (x: number, colour: string, word: string) =>
      `<svg><path d="M${x} 2" fill="${colour}"/><text>${word}</text></svg>`
    expect(picturesAgree(svg(10, '#405060', 'loss 1'), svg(11.5, '#405163', 'loss 1'))).toBe(true)
    expect(picturesAgree(svg(10, '#405060', 'loss 1'), svg(13, '#405060', 'loss 1'))).toBe(false)
    expect(picturesAgree(svg(10, '#405060', 'loss 1'), svg(10, '#405070', 'loss 1'))).toBe(false)
    expect(picturesAgree(svg(10, '#405060', 'loss 1'), svg(10, '#405060', 'loss 2'))).toBe(false)
  })

  it('tell a reader what is green, why the rest is not, and what is next', () => {
    const passed = { name: 'adds', passed: true, message: '' }
    const message = 'Error: expected 3\n    at /x/exercises/99-b.test.ts:4:2\n    at node_modules/vitest/x.js:1:1'
    const results = [
      { name: '99-a', tests: [passed], problem: '', isGreen: true },
      { name: '99-b', tests: [passed, { name: 'adds more', passed: false, message }], problem: '', isGreen: false },
      { name: '99-c', tests: [], problem: 'SyntaxError: here', isGreen: false },
    ]
    expect(report([page()], results, true).split('\n')).toEqual([
      '',
      '99. Page  (docs/walkthroughs/99-page.md)',
      '  green  99-a',
      '  red    99-b',
      '         1 of 2 tests fail; the first: adds more',
      '           Error: expected 3',
      '               at /x/exercises/99-b.test.ts:4:2',
      '  red    99-c',
      '         its test could not be loaded',
      '           SyntaxError: here',
      '',
      '1 of 3 exercises are green.',
      'Next: change docs/walkthroughs/exercises/99-b.ts, then run npm run learn 99.',
      'A solution, for afterwards: docs/walkthroughs/exercises/solutions/99-b.ts',
    ])
    expect(report([page()], results.slice(0, 1), true)).not.toContain('Next')
  })

  it('type-check pages', async () => {
    const wrong = page('```ts', "const n: number = 'one'", 'console.log(n)', '```')
    expect((await typeCheck([wrong])).join()).toMatch(/99-page\.md:11/)
  })
})
