/**
 * sin and cos in WGSL, to a few units in the last place. The built-in ones may be off by 2^-11 and are by 2e-5 on
 * SwiftShader, which shows in every rotary position.
 *
 * x = k pi/2 + r with |r| <= pi/4: pi/2 is taken off in three parts, of which the first two have so few digits that
 * k times each is exact (Cody and Waite 1980). Then the Taylor series of r, whose next terms are below 2^-24: r^11 / 11!
 * = 2e-9 and r^12 / 12! = 1e-10. Beyond |x| = 8192 the parts no longer suffice, and the built-in functions answer.
 */
import { cos, sin } from '../../elementwise.ts'
import type { Translation, Translations } from '../../translation.ts'

const functions = `fn quarter_turns(x : f32) -> f32 { return floor(x * 0.6366197723675814 + 0.5); }
fn reduced(x : f32, k : f32) -> f32 { return ((x - k * 1.5703125) - k * 4.837512969970703125e-4) - k * 7.549789948768648e-8; }
fn sine_series(r : f32) -> f32 {
  let z = r * r;
  return r + r * z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * (1.0 / 362880.0))));
}
fn cosine_series(r : f32) -> f32 {
  let z = r * r;
  return 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40320.0 + z * (-1.0 / 3628800.0)))));
}
fn turned(r : f32, quarter : i32) -> f32 {
  let value = select(sine_series(r), cosine_series(r), (quarter & 1) == 1);
  return select(value, -value, (quarter & 2) == 2);
}
fn sine(x : f32) -> f32 {
  if (!(abs(x) <= 8192.0)) { return sin(x); }
  let k = quarter_turns(x);
  return turned(reduced(x, k), i32(k));
}
fn cosine(x : f32) -> f32 {
  if (!(abs(x) <= 8192.0)) { return cos(x); }
  let k = quarter_turns(x);
  return turned(reduced(x, k), i32(k) + 1);
}`

const scalar = (body: string): Translation => ({ functions, body, parameters: [] })

/** Scalar functions that take the place of gpu.js's translations. */
export const tunedScalars: Translations = new Map([
  [sin, scalar('sine')],
  [cos, scalar('cosine')],
])
