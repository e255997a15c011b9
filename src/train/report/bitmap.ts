/**
 * A grid of numbers as a small image: an 8-bit BMP with a palette, as a `data:` address.
 *
 * BMP because it is the shortest format to write that every browser shows: a header, 256 colours, one byte a cell
 * (rows from the bottom up, each padded to four bytes). At one byte a cell it is far smaller than an SVG of
 * rectangles, and it needs neither a canvas nor a compressor, so the same code runs in Node and in a page.
 */

/** Red, green and blue, 0 to 255. */
export type Colour = readonly [number, number, number]

const headerBytes = 54

/**
 * @param cells [height, width] indices into `palette`, row-major, the top row first.
 * @param palette at most 256 colours.
 */
export function bitmapAddress(cells: Uint8Array, width: number, height: number, palette: readonly Colour[]): string {
  const rowBytes = Math.ceil(width / 4) * 4
  const start = headerBytes + 4 * palette.length
  const bytes = new Uint8Array(start + rowBytes * height)
  const view = new DataView(bytes.buffer)
  bytes.set([0x42, 0x4d])
  view.setUint32(2, bytes.length, true)
  view.setUint32(10, start, true)
  view.setUint32(14, 40, true)
  view.setInt32(18, width, true)
  view.setInt32(22, height, true)
  view.setUint16(26, 1, true)
  view.setUint16(28, 8, true)
  view.setUint32(34, rowBytes * height, true)
  view.setUint32(46, palette.length, true)
  palette.forEach(([red, green, blue], index) => {
    bytes.set([blue, green, red, 0], headerBytes + 4 * index)
  })
  for (let row = 0; row < height; row++) {
    bytes.set(cells.subarray(row * width, (row + 1) * width), start + (height - 1 - row) * rowBytes)
  }
  return `data:image/bmp;base64,${base64(bytes)}`
}

function base64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}
