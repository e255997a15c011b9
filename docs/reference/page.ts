/**
 * What the page of an operation says beyond its record: arguments, shapes, the gradient as a formula, an example.
 *
 * It lies beside the records, not in them, so that a program which uses the engine does not carry the prose; the type of
 * `operationPages` demands an entry for every public operation all the same, and tests hold it to the record.
 */
export interface OperationPage {
  /**
   * Positional arguments in their order, each as '[shape]: meaning'; `options.key` for what stands in the last one. A letter
   * means the same size wherever it occurs; '...' stands for any number of axes. What is no tensor has no shape.
   */
  readonly arguments: Readonly<Record<string, string>>
  /** As an argument; one entry for each tensor where the result is an object of them. */
  readonly result: string | Readonly<Record<string, string>>
  /** Gradients of the tensors, given `dy`, that of the result `y`; null for what has none. */
  readonly gradient: string | null
  /** Lines of a program, whose imports are added; a comment behind each console.log says what it prints. */
  readonly example: string
}
