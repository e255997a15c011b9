/**
 * The maximum m of a row and the sum of e^(v - m), in one pass: each lane keeps its own maximum and rescales its sum when
 * that grows; the lanes then meet, their sums rescaled to the common maximum.
 */
import { KEYS, NOT_A_NUMBER, type RowLayout, rowMax, rowSum, subgroupState } from './rows.ts'

/**
 * `OnlineSum`, `added(sum, v)`, and `met(sum, lane, local)`, which gives the row's maximum and sum to all its lanes: NaN as
 * the sum when a value is NaN or +infinity, or all are -infinity, as inf - inf makes it in the composition.
 */
export function onlineSum(layout: RowLayout): string {
  return `${subgroupState(layout)}
${KEYS}
${NOT_A_NUMBER}
${rowSum(layout)}
${rowMax(layout)}
struct OnlineSum { m : f32, sum : f32, poisoned : bool }
// The lowest finite value stands for no maximum: WGSL need not know infinities.
const LOWEST = -3.4028234e38;
fn added(before : OnlineSum, v : f32) -> OnlineSum {
  var after = before;
  let bits = bitcast<u32>(v);
  if (keyOf(bits) >= INFINITY_KEY) {
    after.poisoned = true;
  } else if (bits == 0xff800000u) {
    // e^-infinity is 0.
  } else if (v > before.m) {
    after.sum = before.sum * exp(before.m - v) + 1.0;
    after.m = v;
  } else {
    after.sum = before.sum + exp(v - before.m);
  }
  return after;
}
fn met(part : OnlineSum, lane : u32, local : u32) -> OnlineSum {
  let key = rowMax(select(keyOf(bitcast<u32>(part.m)), NAN_KEY, part.poisoned), lane, local);
  let poisoned = key >= INFINITY_KEY;
  let m = select(bitcast<f32>(bitsOf(key)), 0.0, poisoned);
  let all = rowSum(part.sum * exp(part.m - m), lane, local);
  let none = poisoned || all == 0.0;
  return OnlineSum(m, select(all, notANumber(key), none), none);
}`
}
