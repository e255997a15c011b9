/**
 * The parts of the matrix product for other kernels, which `import` them into their modules and multiply small matrices
 * with them: packing (matmul-pack.ts) and blocks of C (matmul-block.ts).
 *
 * @example
 * const product = productFunctions(features)
 * const module = new WasmModule({ ...features, wide: false })
 * const [packColumns, block] = [product.packColumns, product.adjacent].map((callee) => module.import(callee))
 */
import { type Features, WasmModule } from './assembler.ts'
import { defineBlocks, type TileShape } from './matmul-block.ts'
import { definePack } from './matmul-pack.ts'

/**
 * The largest tile whose sums, vectors of B and element of A stay in the registers that V8 has for vectors, 15 on x64. A
 * product without a fused multiply-add takes one more; where V8 pairs vectors, a pair takes one.
 */
export function tileShape({ relaxed, wide }: Features): TileShape {
  if (relaxed && wide) return { rows: 4, vectors: 4 }
  return relaxed ? { rows: 6, vectors: 2 } : { rows: 5, vectors: 2 }
}

function define(features: Features) {
  const module = new WasmModule(features)
  const tile = tileShape(features)
  return {
    module,
    tile,
    /** Room that a block needs for its tiles at the edge of C. */
    edgeBytes: tile.rows * tile.vectors * 16,
    packRows: definePack(module, 'packRows', tile.rows),
    packColumns: definePack(module, 'packColumns', 4 * tile.vectors),
    ...defineBlocks(module, tile),
  }
}

export type ProductFunctions = ReturnType<typeof define>

const made = new Map<string, ProductFunctions>()

/** The functions for these features: one module, whoever asks. */
export function productFunctions(features: Features): ProductFunctions {
  const key = `${features.relaxed} ${features.wide ?? false}`
  let functions = made.get(key)
  if (!functions) made.set(key, (functions = define(features)))
  return functions
}
