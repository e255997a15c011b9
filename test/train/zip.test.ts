/** Zips that anyone may have written: what is in them comes out, and what they claim is not believed. */
import fc from 'fast-check'
import { zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { unzip } from '../../src/train/zip.ts'

const all = () => true

describe('unzip', () => {
  it('gives what was zipped, whatever lies before it or follows in a comment', () => {
    const names = fc.stringMatching(/^[a-z/é]{1,9}$/)
    const files = fc.dictionary(names, fc.uint8Array({ maxLength: 300 }), { maxKeys: 5, noNullPrototype: true })
    fc.assert(
      fc.property(files, fc.constantFrom(0, 1, 9), fc.uint8Array({ maxLength: 40 }), (contents, level, comment) => {
        fc.pre(!Object.keys(contents).some((name) => name.endsWith('/')))
        const zip = zipSync(contents, { level: level as 0 })
        const length = Buffer.alloc(2)
        length.writeUInt16LE(comment.length)
        const whole = Buffer.concat([zip.subarray(0, -2), length, comment])
        expect(Object.fromEntries(unzip(whole, all))).toEqual(
          Object.fromEntries(Object.entries(contents).map(([name, bytes]) => [name, Uint8Array.from(bytes)])),
        )
      }),
    )
  })

  const zeros = 2 ** 22
  const swollen = () => Buffer.from(zipSync({ a: new Uint8Array(zeros) }))
  /** Where the directory says how large the file is. */
  const sizeAt = (zip: Buffer) => zip.indexOf('PK\u0001\u0002') + 24

  it('refuses files that are far larger than the zip, before they are unpacked', () => {
    expect(() => unzip(swollen(), all)).toThrow(`it would unpack to ${zeros} bytes, more than 64 times its`)
    const claims = Buffer.from(zipSync({ a: new Uint8Array(9) }))
    claims.writeUInt32LE(0xfffffffe, sizeAt(claims))
    expect(() => unzip(claims, all)).toThrow('it would unpack to 4294967294 bytes')
  })

  it('refuses a file that is larger or smaller than the directory says', () => {
    const more = swollen()
    more.writeUInt32LE(1000, sizeAt(more))
    expect(() => unzip(more, all)).toThrow('"a" is not of the 1000 bytes that the directory says')
    const less = Buffer.from(zipSync({ a: new Uint8Array(9) }))
    less.writeUInt32LE(10, sizeAt(less))
    expect(() => unzip(less, all)).toThrow('"a" is not of the 10 bytes')
  })

  it('refuses files that share their bytes, and a name that is there twice', () => {
    const zip = Buffer.from(zipSync({ a: crypto.getRandomValues(new Uint8Array(200)) }))
    const entry = zip.subarray(zip.indexOf('PK\u0001\u0002'), -22)
    const end = Buffer.from(zip.subarray(-22))
    end.writeUInt16LE(2, 8)
    end.writeUInt16LE(2, 10)
    const doubled = (second: Buffer) => Buffer.concat([zip.subarray(0, -22), second, end])
    const other = Buffer.from(entry)
    other.write('b', 46)
    expect(() => unzip(doubled(other), all)).toThrow('its files overlap')
    const empty = Buffer.from(zipSync({ a: new Uint8Array(0) }))
    const emptyEntry = empty.subarray(empty.indexOf('PK\u0001\u0002'), -22)
    const emptyEnd = Buffer.from(empty.subarray(-22))
    emptyEnd.writeUInt16LE(2, 10)
    expect(() => unzip(Buffer.concat([empty.subarray(0, -22), emptyEntry, emptyEnd]), all)).toThrow('it has "a" twice')
  })

  it('refuses a directory that is not there, is damaged, or has more entries than it holds', () => {
    const zip = Buffer.from(zipSync({ a: new Uint8Array(9) }))
    expect(() => unzip(zip.subarray(0, 10), all)).toThrow('it is too short for one')
    expect(() => unzip(Buffer.alloc(100), all)).toThrow('its directory is missing')
    for (const [at, value] of [
      [zip.length - 12, 0xffff],
      [zip.length - 6, 0xffff],
      [zip.indexOf('PK\u0001\u0002'), 0],
    ] as const) {
      const damaged = Buffer.from(zip)
      damaged.writeUInt16LE(value, at)
      expect(() => unzip(damaged, all)).toThrow('its directory is damaged')
    }
    const wide = Buffer.from(zip)
    wide.writeUInt32LE(0xffffffff, sizeAt(wide))
    expect(() => unzip(wide, all)).toThrow('sizes of 64 bits')
  })
})
