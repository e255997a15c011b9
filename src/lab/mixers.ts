/** What may mix tokens in a model, by name: attention, the delta rules, and attention in one layer of two. */
import { SluiceError } from '../errors.ts'
import { noSuch } from '../nearest.ts'

export interface Mixer {
  readonly doc: string
  /** Keys of a model's configuration. */
  readonly model: Readonly<Record<string, unknown>>
}

/** Every mixer by its name. */
export const mixers: Readonly<Record<string, Mixer>> = {
  attention: { doc: 'softmax attention, without a gate', model: { gate: 'none' } },
  'delta-net': {
    doc: 'DeltaNet: the delta rule without decay',
    model: { fullAttentionInterval: 0, delta: { rule: 'delta' } },
  },
  'delta-net-negative': {
    doc: 'DeltaNet with beta in (0, 2), so that states may change their sign',
    model: { fullAttentionInterval: 0, delta: { rule: 'delta', negativeEigenvalues: true } },
  },
  'gated-delta-net': { doc: 'Gated DeltaNet', model: { fullAttentionInterval: 0, delta: { rule: 'gatedDelta' } } },
  hybrid: {
    doc: 'Gated DeltaNet and gated attention in turns',
    model: { fullAttentionInterval: 2, delta: { rule: 'gatedDelta' } },
  },
}

/** @throws SluiceError naming the nearest one */
export function mixerNamed(name: string): Mixer {
  if (Object.hasOwn(mixers, name)) return mixers[name]
  throw new SluiceError('mixer', noSuch('mixer', name, Object.keys(mixers)))
}
