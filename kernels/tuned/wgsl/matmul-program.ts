/**
 * The WGSL of one tile of the matrix product, out[z, i, j] = sum over k of op(a)[z, i, k] op(b)[z, k, j].
 *
 * Each step of k copies `depth` columns of op(a) and rows of op(b) into workgroup memory, both with k first, so that an
 * invocation reads its rows and its columns as vectors of 4. The copy goes by blocks of 4 x 4, one an invocation, which
 * lie in registers while the step before is multiplied. A block reads along whichever axis is contiguous, and is
 * transposed in registers when that is k: op() costs nothing.
 *
 * Rows and columns beyond the matrix are read from its last ones and never stored. Only k needs zeros beyond its end.
 *
 * Words: `across` is the axis of an operand that is not k, rows of op(a) or columns of op(b).
 */
import type { Epilogue } from '../../fused-linear.ts'
import { epilogueName, noEpilogue, storing } from './matmul-epilogue.ts'
import { invocations, type Tile } from './matmul-tiles.ts'
import type { ElementType, Program } from './program.ts'

/** How an operand lies: the axis along which neighbouring invocations read, and whether whole vectors of 4 can be read. */
export interface Layout {
  readonly along: 'k' | 'across'
  readonly isVector: boolean
}

export interface Variant {
  readonly tile: Tile
  readonly a: Layout
  readonly b: Layout
  /** Whether rows of the result are stored as vectors of 4: n is a multiple of 4. */
  readonly isWide: boolean
  readonly epilogue: Epilogue
  /** Tiles of float16, where the device has it and was told to. */
  readonly isHalf: boolean
}

const layoutName = ({ along, isVector }: Layout) => `${along}${isVector ? '4' : ''}`
const elementType = (isVector: boolean): ElementType => (isVector ? 'vec4<f32>' : 'f32')
const range = (n: number) => Array.from({ length: n }, (_, i) => i)
const lines = (n: number, line: (i: number) => string, indent = '  ') => range(n).map(line).join(`\n${indent}`)

/** Rows of tiles that are taken together, column by column, so that workgroups which run at once share operands in cache. */
const BAND = 8

/**
 * `offsetsX`: where the 4 lines of a block start. `blockX`: the block, column j of the matrix holding the 4 values across
 * at k + j, zeros from `end` on. Strides count elements of the binding: vectors, or numbers.
 */
function fetching(X: string, { along, isVector }: Layout, extent: string): string {
  const [batch, across, depth] = [`params.${X}Batch`, `params.${X}Across`, `params.${X}Depth`]
  const four = (place: string) => ['x', 'y', 'z', 'w'].map((c) => `${X}[at.${c} + ${place}]`).join(', ')
  const columns = isVector && along === 'across'
  const offsets = columns
    ? `vec4u(z * ${batch} + min(first / 4u, ${extent} / 4u - 1u))`
    : `z * ${batch} + min(first + vec4u(0u, 1u, 2u, 3u), vec4u(${extent} - 1u)) * ${across}`
  const body =
    isVector && along === 'k'
      ? `if (k < end) { block = transpose(mat4x4f(${four('k / 4u')})); }`
      : lines(4, (j) => {
          const place = `(k + ${j}u) * ${depth}`
          return `if (k + ${j}u < end) { block[${j}] = ${columns ? `${X}[at.x + ${place}]` : `vec4f(${four(place)})`}; }`
        })
  return `
fn ${X}Offsets(z : u32, first : u32) -> vec4u { return ${offsets}; }

fn ${X}Block(at : vec4u, k : u32, end : u32) -> mat4x4f {
  var block = mat4x4f();
  ${body}
  return block;
}
`
}

/**
 * Which block of a step an invocation copies: vec2u(4 across, 4 along k) of block q. Neighbours read neighbouring
 * addresses; along k, groups of 8 share one k, so that they also store to neighbouring addresses.
 */
function blockPlace({ along }: Layout, blocksAcross: number, depth: number): string {
  if (along === 'across') return `vec2u(q % ${blocksAcross}u, q / ${blocksAcross}u)`
  const deep = depth / 4
  return `vec2u(q % 8u + 8u * (q / ${8 * deep}u), (q / 8u) % ${deep}u)`
}

const programs = new Map<string, Program>()

export function tileProgram(variant: Variant): Program {
  const { tile, a, b, isWide, epilogue, isHalf } = variant
  const ending = epilogue === noEpilogue ? '' : ` ${epilogueName(epilogue)}`
  const name = `matmul ${tile.name} a:${layoutName(a)} b:${layoutName(b)}${isWide ? ' wide' : ''}${isHalf ? ' half' : ''}${ending}`
  const known = programs.get(name)
  if (known) return known
  const store = storing(epilogue, isWide)
  const program: Program = {
    name,
    reads: { a: elementType(a.isVector), b: elementType(b.isVector), ...store.reads },
    writes: store.writes,
    parameters: {
      m: 'u32',
      n: 'u32',
      k: 'u32',
      // Matrices of the batch, parts of k and their length, tiles across and down, and workgroups in all.
      batch: 'u32',
      splits: 'u32',
      part: 'u32',
      tilesDown: 'u32',
      tilesAcross: 'u32',
      count: 'u32',
      aBatch: 'u32',
      aAcross: 'u32',
      aDepth: 'u32',
      bBatch: 'u32',
      bAcross: 'u32',
      bDepth: 'u32',
    },
    features: isHalf ? ['shader-f16'] : [],
    code: tileCode(variant, store.code),
  }
  programs.set(name, program)
  return program
}

function tileCode({ tile, a, b, isWide, isHalf }: Variant, store: string): string {
  const held = isHalf ? 'vec4<f16>' : 'vec4f'
  const { rows, columns, depth, cellRows, cellColumns, buffers } = tile
  const lanes = invocations(tile)
  const lanesDown = rows / cellRows
  const lanesAcross = columns / cellColumns
  const [rowVectors, columnVectors] = [rows / 4, columns / 4]
  const [rowGroups, columnGroups] = [cellRows / 4, cellColumns / 4]
  const aBlocks = rowVectors * (depth / 4)
  const bBlocks = columnVectors * (depth / 4)
  const current = buffers === 2 ? '[step & 1u]' : '[0]'
  const next = buffers === 2 ? '[(step + 1u) & 1u]' : '[0]'
  const cell = (row: number, group: number) => `sum${row}_${group}`
  const everyCell = (line: (row: number, group: number) => string, indent: string) =>
    lines(cellRows, (row) => lines(columnGroups, (group) => line(row, group), indent), indent)

  const keep = (at: string) => `
      if (copiesA) {
        ${lines(4, (j) => `aTile${at}[4u * place.y + ${j}u][place.x] = ${held}(block[${j}]);`, '        ')}
      } else if (copiesB) {
        ${lines(4, (j) => `bTile${at}[4u * place.y + ${j}u][place.x] = ${held}(block[${j}]);`, '        ')}
      }`
  const fetch = (k: string) => `
    if (copiesA) { block = aBlock(at, ${k} + 4u * place.y, end); }
    else if (copiesB) { block = bBlock(at, ${k} + 4u * place.y, end); }`
  const multiply = `
    for (var d = 0u; d < ${depth}u; d++) {
      ${lines(rowGroups, (g) => `let a${g} = vec4f(aTile${current}[d][row + ${g * lanesDown}u]);`, '      ')}
      ${lines(columnGroups, (g) => `let b${g} = vec4f(bTile${current}[d][column + ${g * lanesAcross}u]);`, '      ')}
      ${everyCell((r, g) => `${cell(r, g)} = fma(vec4f(a${r >> 2}[${r & 3}]), b${g}, ${cell(r, g)});`, '      ')}
    }`
  const steps =
    buffers === 2
      ? `${keep('[0]')}
  for (var k = begin; k < end; k += ${depth}u) {
    let isLast = end - k <= ${depth}u;
    workgroupBarrier();
    if (!isLast) { ${fetch(`k + ${depth}u`)} }
    ${multiply}
    if (!isLast) { ${keep(next)} }
    step++;
  }`
      : `
  for (var k = begin; k < end; k += ${depth}u) {
    workgroupBarrier(); // nobody reads the step before any more
    ${keep(next)}
    workgroupBarrier();
    if (end - k > ${depth}u) { ${fetch(`k + ${depth}u`)} } // on its way while this step is multiplied
    ${multiply}
  }`

  return `
// [k][across], in vectors of 4 across.
var<workgroup> aTile : array<array<array<${held}, ${rowVectors}>, ${depth}>, ${buffers}>;
var<workgroup> bTile : array<array<array<${held}, ${columnVectors}>, ${depth}>, ${buffers}>;
${fetching('a', a, 'params.m')}${fetching('b', b, 'params.n')}${store}
/** Stores 4 neighbours of a row, those that exist; \`first\` is where the matrix starts. */
fn putFour(first : u32, i : u32, j : u32, sum : vec4f) {
  if (i >= params.m) { return; }
  let start = first + i * params.n + j;
  ${
    isWide
      ? 'if (j < params.n) { put(start / 4u, j / 4u, sum); }'
      : lines(4, (c) => `if (j + ${c}u < params.n) { put(start + ${c}u, j + ${c}u, sum[${c}]); }`)
  }
}

@compute @workgroup_size(${lanes}) fn main(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) lane : u32,
) {
  let number = group.x + group.y * groups.x;
  if (number >= params.count) { return; }

  // This workgroup's matrix, part of k, and tile.
  let tiles = params.tilesDown * params.tilesAcross;
  let matrix = number / tiles;
  let z = matrix / params.splits;
  let split = matrix % params.splits;
  let begin = split * params.part;
  let end = min(begin + params.part, params.k);
  let tile = number % tiles;
  let band = tile / (${BAND}u * params.tilesAcross);
  let inBand = tile - band * ${BAND}u * params.tilesAcross;
  let height = min(${BAND}u, params.tilesDown - band * ${BAND}u);
  let firstRow = (band * ${BAND}u + inBand % height) * ${rows}u;
  let firstColumn = (inBand / height) * ${columns}u;

  // This invocation's cells. 32 neighbours take 8 vectors of columns by 4 of rows.
  let column = lane % 8u + 8u * ((lane / 32u) % ${lanesAcross / 8}u);
  let row = (lane / 8u) % 4u + 4u * (lane / ${4 * lanesAcross}u);
  ${everyCell((r, g) => `var ${cell(r, g)} = vec4f();`, '  ')}

  // The block that it copies: of a, of b, or none.
  let copiesA = lane < ${aBlocks}u;
  let copiesB = !copiesA && lane < ${aBlocks + bBlocks}u;
  var place : vec2u;
  var at : vec4u;
  if (copiesA) {
    let q = lane;
    place = ${blockPlace(a, rowVectors, depth)};
    at = aOffsets(z, firstRow + 4u * place.x);
  } else if (copiesB) {
    let q = lane - ${aBlocks}u;
    place = ${blockPlace(b, columnVectors, depth)};
    at = bOffsets(z, firstColumn + 4u * place.x);
  }
  var block = mat4x4f();
  ${buffers === 2 ? 'var step = 0u;' : ''}
  ${fetch('begin')}
${steps}

  let first = (split * params.batch + z) * params.m * params.n;
  ${everyCell(
    (r, g) =>
      `putFour(first, firstRow + ${(r >> 2) * 4 * lanesDown + (r & 3)}u + 4u * row, firstColumn + ${g * 4 * lanesAcross}u + 4u * column, ${cell(r, g)});`,
    '  ',
  )}
}
`
}
