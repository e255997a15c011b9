/**
 * The barrier at which the threads of a program meet between two tasks, over one counter in shared memory.
 *
 * The counter only grows: the k-th meeting of n threads ends when it has grown by k n. A thread that arrives early looks at
 * it for a while, since the others are seldom late, and then sleeps until the last one wakes it.
 */
import { integers, type WasmModule } from './assembler.ts'
import { atomic, i32 } from './instructions.ts'

/** Looks before sleeping: some tens of microseconds. */
const looks = 20_000

/** Words after the counter: not zero when a thread has failed, and nobody must wait for it. */
export const failedOffset = 4

export function defineBarrier(module: WasmModule) {
  return module.function('barrier', integers('counter', 'goal', 'mayWait'), (f, { counter, goal, mayWait }) => {
    const left = f.local('i32', looks)
    const seen = f.local('i32')
    // Differences stay right when the counter wraps around.
    const isOpen = i32.or(i32.ge_s(i32.sub(seen, goal), 0), i32.ne(atomic.load(counter, failedOffset), 0))
    f.if(
      i32.eq(i32.add(atomic.add(counter, 1), 1), goal),
      () => f.drop(atomic.notify(counter, -1)),
      () => {
        f.set(seen, atomic.load(counter))
        f.while(i32.eqz(isOpen), () => {
          f.advance(left, -1)
          f.if(i32.and(mayWait, i32.lt_s(left, 0)), () => f.drop(atomic.wait(counter, seen)))
          f.set(seen, atomic.load(counter))
        })
      },
    )
  })
}
