/**
 * Attention forward: a workgroup has 32 queries of one head and goes over the keys in blocks of 32.
 *
 * Online softmax (Milakov and Gimelshein 2018; Dao et al. 2022, algorithm 1): with m the maximum so far, l the sum of
 * e^(s - m) and O the weighted values, a new maximum m' scales l and O by e^(m - m'). Each of the 8 invocations of a row
 * keeps the sum over its own columns, and they meet once, at the end.
 */
import { gateFunctions, gateParameters } from './attention-gate.ts'
import {
  attentionParameters,
  blockHead,
  declareSums,
  eachSum,
  mainOf,
  putWeights,
  rowsOf,
  score,
  sees,
  sharedMemory,
  storeSums,
  weigh,
} from './attention-parts.ts'
import type { Program } from './program.ts'

const rows = [0, 1, 2, 3]

/** `values[row]` of every row, met over its 8 invocations: WGSL that sets `name` to the maximum or the sum of them. */
const meet = (name: string, values: string, how: 'max' | 'sum') => `
    workgroupBarrier();
    met[lane] = ${values};
    workgroupBarrier();
    var ${name} = met[8u * down];
    for (var other = 1u; other < 8u; other++) {
      ${how === 'max' ? `${name} = max(${name}, met[8u * down + other]);` : `${name} += met[8u * down + other];`}
    }`

export function forwardProgram(groups: number, isGated: boolean): Program {
  const q = rowsOf('q', 'T', 'H', 'head', 'first')
  const k = rowsOf('k', 'S', 'KV', 'keyHead', 'firstKey')
  const v = rowsOf('v', 'S', 'KV', 'keyHead', 'firstKey')
  return {
    name: `attention forward ${32 * groups}${isGated ? ' gated' : ''}`,
    reads: { q: 'vec4<f32>', k: 'vec4<f32>', v: 'vec4<f32>', ...(isGated ? { gate: 'vec4<f32>' as const } : {}) },
    writes: { out: 'vec4<f32>', logSum: 'f32', ...(isGated ? { ungated: 'vec4<f32>' as const } : {}) },
    parameters: isGated ? { ...attentionParameters, ...gateParameters } : attentionParameters,
    code: `${sharedMemory}
var<workgroup> met : array<vec4f, 64>;
// Stands for minus infinity, which WGSL need not keep: e^(it - any score) is 0.
const HIDDEN = -1e30;
${sees}
${isGated ? gateFunctions : ''}
${mainOf(`${blockHead('params.T', 'params.H')}
  let keyHead = head / (params.H / params.KV);
  // Keys that the last query of the block sees.
  var keys = params.S;
  if (params.causal == 1u) { keys = min(params.S, first + 32u + params.S - params.T); }
  var m = vec4f(HIDDEN);
  var l = vec4f();
  ${declareSums('o', groups)}
  for (var firstKey = 0u; firstKey < keys; firstKey += 32u) {
    ${score('s', q, k)}
    var most = vec4f(HIDDEN);
    ${rows
      .map(
        (r) => `for (var c = 0u; c < 4u; c++) {
      s${r}[c] = select(HIDDEN, s${r}[c] * params.scale, sees(first + 4u * down + ${r}u, firstKey + 4u * across + c));
    }
    most[${r}] = max(max(s${r}.x, s${r}.y), max(s${r}.z, s${r}.w));`,
      )
      .join('\n    ')}
    ${meet('blockMost', 'most', 'max')}
    let next = max(m, blockMost);
    let shrink = exp(m - next);
    m = next;
    ${rows.map((r) => `let p${r} = select(vec4f(), exp(s${r} - m[${r}]), s${r} > vec4f(0.5 * HIDDEN));`).join('\n    ')}
    l = l * shrink + vec4f(${rows.map((r) => `dot(p${r}, vec4f(1.0))`).join(', ')});
    ${eachSum('o', groups, (sum, r) => `${sum} *= shrink[${r}];`)}
    ${putWeights('p')}
    ${weigh('o', groups, v)}
  }
  ${meet('total', 'l', 'sum')}
  ${rows
    .map(
      (r) => `if (across == 0u && first + 4u * down + ${r}u < params.T) {
    logSum[(b * params.T + first + 4u * down + ${r}u) * params.H + head] = m[${r}] + log(total[${r}]);
  }`,
    )
    .join('\n  ')}
  ${storeSums(
    'o',
    groups,
    'params.T',
    `
        let row = (b * params.T + i) * params.H + head;
        let at = row * params.D4 + column;
        let y = value / total[r];
        ${
          isGated
            ? `ungated[at] = y;
        let s = activated(gateAt(row, column));
        out[at] = select(y * s, y + s, params.additive == 1u);`
            : 'out[at] = y;'
        }
      `,
  )}`)}`,
  }
}
