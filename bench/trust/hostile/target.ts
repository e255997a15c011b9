/** What is given hostile files: a function from bytes to "read" or "refused". */
import type fc from 'fast-check'

export interface Target {
  /** Valid inputs, from which damaged ones are made; each is read without an error. */
  readonly valid: readonly Uint8Array[]
  /** Words of the format. */
  readonly words: readonly string[]
  /** Inputs that are made, not damaged. */
  readonly made: fc.Arbitrary<Uint8Array>
  /** Bytes of the files that are read together with the input. */
  readonly besides: number
  /** Whether no other than a SluiceError may be thrown. @throws SluiceError for what it refuses */
  read(bytes: Uint8Array): unknown
}

/** Readies a target in a folder of its own, the only one that it may touch. */
export type ReadyTarget = (folder: string) => Promise<Target>

const encoder = new TextEncoder()
export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text)

/** As a program reads a text; broken UTF-8 is U+FFFD. */
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/**
 * What one input may take: of the processor's time, three seconds and a microsecond a byte, of which
 * JSON.parse takes up to a half for objects of many keys; of memory, 64 times its bytes and 32 MiB.
 */
export const limits = {
  milliseconds: (bytes: number): number => 3000 + bytes / 1000,
  memory: (bytes: number): number => 64 * bytes + 2 ** 25,
} as const
