/** A vitest reporter: says at the end how many tests were left out on this machine, and why. */
import type { Reporter, TestModule } from 'vitest/node'

export class LeftOutReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const reasons = new Map<string, number>()
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const { leftOut } = test.meta()
        if (leftOut) reasons.set(leftOut, (reasons.get(leftOut) ?? 0) + 1)
      }
    }
    for (const [reason, count] of reasons) {
      console.log(`\n${count} test${count === 1 ? ' was' : 's were'} left out: ${reason}`)
    }
  }
}
