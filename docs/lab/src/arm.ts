/** One run of an experiment, and what is told of it. */

import { SluiceError } from '../../../src/errors.ts'
import { type ArchivedRun, archiveExtension, packRun, textFile, unpackRun } from '../../../src/train/archive.ts'
import { readCheckpoint } from '../../../src/train/checkpoint.ts'
import type { TrainConfig } from '../../../src/train/config.ts'
import { savedConfig } from '../../../src/train/load.ts'
import { MemoryFiles } from '../../../src/train/memory-files.ts'
import { checkpointFolder, type LogEntry } from '../../../src/train/run.ts'
import { openSession, type TrainingSession } from '../../../src/train/session.ts'
import { measure } from './look.ts'
import { labelsOf } from './passage.ts'
import { mixerKeys } from './plan.ts'
import type { ArmPlan, ArmReport, Both } from './protocol.ts'

/** A run as it will be opened. */
interface Source {
  readonly config: Readonly<Record<string, unknown>> | undefined
  readonly text: string | undefined
  readonly archive: ArchivedRun | undefined
}

export class ArmRun {
  readonly session: TrainingSession
  /** Lines of the log that the page has not been told. */
  untold: LogEntry[] = []
  readonly #text: string | undefined
  readonly #before: readonly LogEntry[]

  constructor(session: TrainingSession, { text, archive }: Source) {
    this.session = session
    this.#text = text
    this.#before = archive?.log.filter(({ step }) => step <= session.firstStep) ?? []
    session.log.entries.push(...this.#before)
  }

  /** One step, measured where the configuration says so, and at the last. */
  async step(): Promise<void> {
    this.untold.push(await this.session.loggedStep(measure))
  }

  report(): ArmReport {
    const { config, model, stepsDone } = this.session
    const { gate, heads, layerTypes } = model.config
    const isGated = gate !== 'none' && layerTypes.includes('attention')
    return {
      name: config.name,
      config: JSON.parse(JSON.stringify(config)),
      parameters: model.parameterCount,
      layerTypes,
      heads,
      gate: isGated ? `${gate.position} ${gate.grain} ${gate.act}` : undefined,
      step: stepsDone,
      steps: config.steps,
      log: this.#before,
    }
  }

  /** The run as it is now, as one file. */
  async pack(): Promise<{ name: string; bytes: ArrayBuffer; command: string }> {
    const { config, log } = this.session
    const name = `${config.name}${archiveExtension}`
    const { buffer } = await packRun(config.name, await this.session.snapshot(), log.entries, this.#text)
    return { name, bytes: buffer, command: `sluice train --resume ${name}` }
  }
}

/**
 * Opens both runs. If one comes from a file, the other takes everything but its name and what mixes its tokens from it.
 *
 * @throws SluiceError for what cannot be opened, and for two files whose runs learn from different data
 */
export async function openArms(plans: Both<ArmPlan>, device: string): Promise<Both<ArmRun>> {
  const [a, b] = [await sourceOf(plans[0]), await sourceOf(plans[1])]
  const sources = [besides(a, b), besides(b, a)]
  const opened = new Map<Source, ArmRun>()
  try {
    // Files first: what a fresh run takes from one is then known to fit the weights in it.
    for (const source of sources.toSorted(
      (x, y) => Number(y.archive !== undefined) - Number(x.archive !== undefined),
    )) {
      opened.set(source, new ArmRun(await open(source, device), source))
    }
    const arms = sources.map((source) => opened.get(source)!)
    needSameTokens(arms)
    return [arms[0]!, arms[1]!]
  } catch (error) {
    for (const { session } of opened.values()) session.dispose()
    throw error
  }
}

/** Both arms are shown the same tokens. */
function needSameTokens(arms: readonly ArmRun[]): void {
  const [a, b] = arms.map(({ session: { data, config } }) => ({
    labels: labelsOf(data, config.data),
    T: data.contextLength,
  }))
  if (a!.labels.join(' ') === b!.labels.join(' ') && a!.T === b!.T) return
  const shown = [a!, b!].map(({ labels, T }) => `${labels.length} tokens in sequences of ${T}`)
  throw new SluiceError(
    'lab',
    `the two runs learn from different data, A from ${shown[0]}, B from ${shown[1]}; open one of them`,
  )
}

function open({ config, text, archive }: Source, device: string): Promise<TrainingSession> {
  if (!archive) return openSession({ config, text, device })
  return openSession({ resume: checkpointFolder(archive.name), files: archive.files, text, device })
}

async function sourceOf(plan: ArmPlan): Promise<Source & { saved?: TrainConfig }> {
  if (plan.from === 'config') return { config: plan.config, text: plan.text, archive: undefined }
  const bytes = new Uint8Array(plan.bytes)
  const archive = plan.name.endsWith('.safetensors') ? lone(plan.name, bytes) : unpackRun(bytes, plan.name)
  const checkpoint = await readCheckpoint(checkpointFolder(archive.name), { files: archive.files })
  const { text: learned, train: saved } = savedConfig(plan.name, checkpoint)
  const text = learned ? (archive.text ?? plan.text) : undefined
  if (learned && text === undefined) {
    throw new SluiceError(
      'lab',
      `${plan.name} learned the text ${saved.data.text ?? 'of a program'}, which it does not hold; paste that text, or open a zip that has it as ${textFile}`,
    )
  }
  return { config: undefined, text, archive, saved }
}

/** A checkpoint without the folder it lay in. */
function lone(name: string, bytes: Uint8Array): ArchivedRun {
  const file = /^step-\d+\.safetensors$/.test(name) ? name : 'step-000000.safetensors'
  return {
    name: 'run',
    files: new MemoryFiles([[`${checkpointFolder('run')}/${file}`, bytes]]),
    log: [],
    text: undefined,
  }
}

/** A source beside another one that comes from a file. */
function besides(own: Source, other: Source & { saved?: TrainConfig }): Source {
  if (own.archive || !other.saved) return own
  const { name, model } = own.config as { name: string; model: Readonly<Record<string, unknown>> }
  const mixing = Object.fromEntries(mixerKeys.filter((key) => key in model).map((key) => [key, model[key]]))
  const size = Object.fromEntries(
    Object.entries(other.saved.model).filter(([key]) => !mixerKeys.includes(key as never)),
  )
  return { config: { ...other.saved, name, model: { ...size, ...mixing } }, text: other.text, archive: undefined }
}
