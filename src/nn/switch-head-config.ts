/** Settings of SwitchHead: plain JSON, checked, with every default filled in. */
import { SluiceError } from '../errors.ts'
import { withoutUndefined } from './gate.ts'
import { checkRecord, needKeys, oneOf, positiveInteger, type Schema } from './validate.ts'

/** Settings of projections with several maps a head (SwitchHead, arXiv 2312.07987). */
export interface SwitchHeadConfig {
  /** Which projections have several maps a head: those of values, or those of keys and values. 'value' unless given. */
  readonly maps: 'value' | 'keyValue'
  /** n, maps a head to choose from. */
  readonly count: number
  /** k, maps of a head that a token goes through. */
  readonly active: number
}

/** What differs from the defaults: at least n maps a head (`count`), of which k (`active`) a token. */
export type SwitchHeadInput = Partial<SwitchHeadConfig> & { readonly count: number; readonly active: number }

const schema: Schema<SwitchHeadConfig> = {
  maps: oneOf('value', 'keyValue'),
  count: positiveInteger,
  active: positiveInteger,
}

/** Full settings; null for none. @throws SluiceError for unknown keys, wrong values, more active maps than there are */
export function switchHeadConfig(
  operation: string,
  given: SwitchHeadInput | null | undefined,
): SwitchHeadConfig | null {
  if (given === null || given === undefined) return null
  const path = 'switchHead.'
  checkRecord(operation, given, schema, path)
  needKeys(operation, given, ['count', 'active'], path)
  const config: SwitchHeadConfig = { maps: 'value', ...withoutUndefined(given) }
  if (config.active > config.count) {
    throw new SluiceError(
      operation,
      `${path}active must be at most ${path}count, got ${config.active} of ${config.count} maps`,
    )
  }
  return config
}
