/**
 * log and pow in WGSL where the built-in ones leave the edges open: on SwiftShader log(-1) is log(1), and 0^(1/8) is
 * 2e-5. Below 0 a logarithm is NaN; 0 to a power above 0 is 0; else as the plain kernels have it.
 */
import { log, pow, powExponentGradient } from '../../elementwise.ts'
import type { Translation, Translations } from '../../translation.ts'

const functions = `// In a variable: WGSL has no literal for it, and refuses a constant expression that gives it.
var<private> nan_bits : u32 = 0x7fc00000u;
fn natural_log(x : f32) -> f32 {
  if (x < 0.0) { return bitcast<f32>(nan_bits); }
  return log(x);
}
fn power(a : f32, b : f32, nan : f32) -> f32 {
  if (b == 0.0) { return 1.0; }
  if (a == 0.0 && b > 0.0) { return 0.0; }
  if (a >= 0.0) { return pow(a, b); }
  if (a < 0.0) {
    if (b == floor(b)) {
      let size = pow(-a, b);
      let half = b * 0.5;
      return select(-size, size, half == floor(half));
    }
    return nan;
  }
  return a;
}
fn power_exponent_gradient(a : f32, value : f32, b : f32) -> f32 {
  if (a == 0.0 && b >= 0.0) { return 0.0; }
  // 0 times an infinity or a NaN is 0 on some adapters.
  if (a < 0.0 || (a == 0.0 && value == 0.0)) { return bitcast<f32>(nan_bits); }
  return value * natural_log(a);
}`

const scalar = (body: string): Translation => ({ functions, body, parameters: [] })

/** Scalar functions that take the place of gpu.js's translations. */
export const powers: Translations = new Map([
  [log, scalar('natural_log')],
  [pow, scalar('power')],
  [powExponentGradient, scalar('power_exponent_gradient')],
])
