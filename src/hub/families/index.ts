/** The families of models whose checkpoints are read and written here, and which of them a model or a file belongs to. */
import { SluiceError } from '../../errors.ts'
import type { TransformerConfig } from '../../nn/config.ts'
import { showValue } from '../../shown.ts'
import type { Layout } from './decoder.ts'
import type { Family, FamilyName, Json } from './family.ts'
import { qwen3Next, qwen35, qwen35Experts } from './hybrid.ts'
import { qwen3 } from './qwen3.ts'

/** In the order in which they are tried for a model. */
const families: readonly Family[] = [qwen3, qwen3Next, qwen35, qwen35Experts]

export const familyNames: readonly FamilyName[] = families.map(({ name }) => name)

export function familyNamed(operation: string, name: string): Family {
  const found = families.find((family) => family.name === name)
  if (found) return found
  throw new SluiceError(operation, `there is no family '${name}'; there are ${familyNames.join(', ')}`)
}

/** The family of a config.json, by its model_type. */
export function familyOf(operation: string, json: Json): Family {
  const found = families.find(({ modelTypes }) => modelTypes.includes(json.model_type as string))
  if (found) return found
  const known = families.flatMap(({ modelTypes }) => modelTypes).join(', ')
  throw new SluiceError(
    operation,
    `config.json has the model_type ${showValue(json.model_type, 100)}; what can be read is ${known}`,
  )
}

/**
 * The first family that can express a model.
 *
 * @throws SluiceError with the setting that stands in each one's way
 */
export function familyFor(operation: string, config: TransformerConfig): Family {
  const found = families.find((family) => family.obstacle(config) === null)
  if (found) return found
  const reasons = families.map((family) => `${family.name} cannot express ${family.obstacle(config)}`)
  throw new SluiceError(operation, `no family can express this model: ${reasons.join('; ')}`)
}

/** How the files of a checkpoint are laid out: as the family writes them, but for what their names show to be otherwise. */
export function layoutOf({ layout }: Family, names: Iterable<string>): Layout {
  const list = [...names]
  const some = (pattern: RegExp) => list.some((name) => pattern.test(name))
  return {
    ...layout,
    prefix: some(/^model\.language_model\./) ? 'model.language_model.' : layout.prefix,
    delta: some(/\.linear_attn\.in_proj_qkvz\./)
      ? 'joined'
      : some(/\.linear_attn\.in_proj_qkv\./)
        ? 'split'
        : layout.delta,
    experts: some(/\.mlp\.experts\.gate_up_proj$/) ? 'stacked' : layout.experts,
  }
}
