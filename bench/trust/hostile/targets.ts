/** Every target by its name; what one needs is loaded only where it is tried. */
import type { ReadyTarget } from './target.ts'

export const targets: Readonly<Record<string, () => Promise<ReadyTarget>>> = {
  safetensors: async () => (await import('./hub-targets.ts')).safetensors,
  'safetensors, index of shards': async () => (await import('./hub-targets.ts')).shardedIndex,
  'config.json': async () => (await import('./hub-targets.ts')).configuration,
  'tokenizer.json': async () => (await import('./hub-targets.ts')).tokenizer,
  'training configuration': async () => (await import('./run-targets.ts')).trainingConfiguration,
  checkpoint: async () => (await import('./run-targets.ts')).checkpoint,
  'archive of a run': async () => (await import('./run-targets.ts')).archive,
  'log of a run': async () => (await import('./run-targets.ts')).runLog,
  'downloaded run': async () => (await import('./run-targets.ts')).download,
  "lab's address": async () => (await import('./run-targets.ts')).address,
  "study's settings": async () => (await import('./study-targets.ts')).settings,
  "study's results": async () => (await import('./study-targets.ts')).result,
  'merge of a study': async () => (await import('./study-targets.ts')).merge,
}
