/**
 * The functions of the matrix product. Other kernels `import` them into their modules and multiply small matrices with
 * them: packing (matmul-pack.ts) and blocks of C (matmul-block.ts).
 *
 * @example
 * const product = productFunctions(features)
 * const module = new WasmModule({ ...features, wide: false })
 * const [packColumns, block] = [product.packColumns, product.adjacent].map((callee) => module.import(callee))
 */
import { type Features, integers, WasmModule } from './assembler.ts'
import { defineActivate } from './matmul-activation.ts'
import { defineAddRectangle } from './matmul-add.ts'
import { blockParameters, defineBlocks, type TileShape } from './matmul-block.ts'
import { defineFew } from './matmul-few.ts'
import { definePack } from './matmul-pack.ts'
import { defineRectangle, edgeBytes } from './matmul-rectangle.ts'
import { defineMultiply } from './matmul-task.ts'

/**
 * The largest tile whose sums, vectors of B and element of A stay in the registers that V8 has for vectors, 15 on x64. A
 * product without a fused multiply-add takes one more; where V8 pairs vectors, a pair takes one.
 */
export function tileShape({ relaxed, wide }: Features): TileShape {
  if (relaxed && wide) return { rows: 4, vectors: 4 }
  return relaxed ? { rows: 6, vectors: 2 } : { rows: 5, vectors: 2 }
}

/** The functions of a module, for tiles of any shape. */
export function defineProduct(features: Features, tile: TileShape) {
  const module = new WasmModule(features)
  const packRows = definePack(module, 'packRows', tile.rows)
  const packColumns = definePack(module, 'packColumns', 4 * tile.vectors)
  const blocks = defineBlocks(module, tile)
  const activate = defineActivate(module)
  const addRectangle = defineAddRectangle(module)
  const rectangle = defineRectangle(module, { tile, packRows, packColumns, blocks, activate, addRectangle })
  /** A block whose addend is C itself. */
  const inPlace = (layout: 'adjacent' | 'strided') =>
    module.function(layout, integers(...blockParameters), (f, given) => {
      f.call(blocks[layout], { ...given, addend: given.c, addendRowStep: given.cRowStep })
    })
  return {
    module,
    tile,
    /** Room that a block needs for its tiles at the edge of C. */
    edgeBytes: edgeBytes(tile),
    packRows,
    packColumns,
    adjacent: inPlace('adjacent'),
    strided: inPlace('strided'),
    ...defineMultiply(module, { rectangle, few: defineFew(module), activate }),
  }
}

export type ProductFunctions = ReturnType<typeof defineProduct>

const made = new Map<string, ProductFunctions>()

/** The functions for these features: one module, whoever asks. */
export function productFunctions(features: Features): ProductFunctions {
  const key = `${features.relaxed} ${features.wide ?? false}`
  let functions = made.get(key)
  if (!functions) made.set(key, (functions = defineProduct(features, tileShape(features))))
  return functions
}
