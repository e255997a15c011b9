/** Every public name says what it is: meaning, shapes, units, errors. */
import { describe, expect, it } from 'vitest'
import { type EntryPoint, type PublicName, readEntryPoints } from '../../docs/site/public-api.ts'
import { documentationFaults } from './documentation.ts'

it('every public name of every entry is documented', () => {
  const entryPoints = readEntryPoints()
  expect(entryPoints.flatMap(({ names }) => names).length).toBeGreaterThan(350)
  expect(documentationFaults(entryPoints)).toEqual([])
})

describe('a docstring that lacks', () => {
  const name: PublicName = {
    name: 'f',
    kind: 'function',
    doc: 'Doubles x [n].',
    parameters: [],
    returns: '',
    throws: '',
    example: '',
    declaration: 'function f(x: Tensor): Tensor',
    members: [],
    throwsItself: false,
    file: 'f.ts',
    line: 1,
    rule: undefined,
  }
  const member = { name: 'member', doc: '', declaration: '', throwsItself: false, line: 2 }
  const faults = (changed: Partial<PublicName>): string[] => {
    const entry: EntryPoint = { module: 'm', file: 'm.ts', doc: 'An entry.', names: [{ ...name, ...changed }] }
    return documentationFaults([entry])
  }
  const ofMember = (changed: Partial<typeof member>): string[] =>
    faults({ kind: 'interface', members: [{ ...member, ...changed }] })

  it('nothing is right', () => {
    expect(faults({})).toEqual([])
    expect(ofMember({ doc: 'A member.' })).toEqual([])
  })

  it('a meaning is found', () => {
    expect(faults({ doc: '' })).toEqual(['f.ts:1 f: has no docstring'])
    expect(ofMember({})).toEqual(['f.ts:2 f.member: has no docstring'])
  })

  it('a shape is found', () => {
    expect(faults({ doc: 'Doubles x.' })).toEqual(['f.ts:1 f: takes or gives tensors, and no shape is said'])
    expect(ofMember({ doc: 'Weights.', declaration: 'member: Tensor' })).toEqual([
      'f.ts:2 f.member: has a tensor without a shape',
    ])
  })

  it('an error is found', () => {
    expect(faults({ throwsItself: true })).toEqual(['f.ts:1 f: throws, and does not say so'])
    expect(faults({ throwsItself: true, throws: 'SluiceError for odd n' })).toEqual([])
    expect(ofMember({ doc: 'Steps.', throwsItself: true })).toEqual(['f.ts:2 f.member: throws, and does not say so'])
  })

  it('a unit is found', () => {
    const timeout = { name: 'timeout', declaration: 'readonly timeout?: number' }
    expect(ofMember({ ...timeout, doc: 'How long it waits.' })).toEqual(['f.ts:2 f.timeout: has no unit'])
    expect(ofMember({ ...timeout, doc: 'How long it waits, in ms.' })).toEqual([])
  })
})
