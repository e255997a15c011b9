/**
 * Threefry-2x32 with 20 rounds: a bijection of 64 bits chosen by a 64-bit key, so that random bits are a function of
 * (key, counter) and need no state.
 *
 * Two words x, y start as counter + key. A round is x += y; y = rotate(y, r) xor x. After every fourth round, the
 * s-th time, x += k[s mod 3] and y += k[(s + 1) mod 3] + s, where k[2] = k[0] xor k[1] xor 0x1bd11bda. All of it is
 * integer arithmetic modulo 2^32, hence the same on every engine and device.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
 */

const PARITY = 0x1bd11bda

/**
 * Writes the two output words of one block to `out[0]` and `out[1]`.
 *
 * Words are taken modulo 2^32, so signed and unsigned inputs mean the same. `out` may hold the counter itself.
 */
export function threefryBlock(key0: number, key1: number, counter0: number, counter1: number, out: Uint32Array): void {
  let k0 = key0 | 0
  let k1 = key1 | 0
  let k2 = key0 ^ key1 ^ PARITY
  let x = (counter0 + k0) | 0
  let y = (counter1 + k1) | 0
  for (let injection = 1; injection <= 5; injection++) {
    if (injection & 1) {
      x = (x + y) | 0
      y = ((y << 13) | (y >>> 19)) ^ x
      x = (x + y) | 0
      y = ((y << 15) | (y >>> 17)) ^ x
      x = (x + y) | 0
      y = ((y << 26) | (y >>> 6)) ^ x
      x = (x + y) | 0
      y = ((y << 6) | (y >>> 26)) ^ x
    } else {
      x = (x + y) | 0
      y = ((y << 17) | (y >>> 15)) ^ x
      x = (x + y) | 0
      y = ((y << 29) | (y >>> 3)) ^ x
      x = (x + y) | 0
      y = ((y << 16) | (y >>> 16)) ^ x
      x = (x + y) | 0
      y = ((y << 24) | (y >>> 8)) ^ x
    }
    const first = k0
    k0 = k1
    k1 = k2
    k2 = first
    x = (x + k0) | 0
    y = (y + k1 + injection) | 0
  }
  out[0] = x
  out[1] = y
}

const pair = new Uint32Array(2)

/**
 * The two output words of one block, each an unsigned 32-bit integer.
 *
 * @example
 * threefry2x32(0, 0, 0, 0) // [0x6b200159, 0x99ba4efe]
 */
export function threefry2x32(key0: number, key1: number, counter0: number, counter1: number): [number, number] {
  threefryBlock(key0, key1, counter0, counter1, pair)
  return [pair[0]!, pair[1]!]
}
