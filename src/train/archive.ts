/**
 * A run as one file: the folder that `sluice train` writes, in a zip.
 *
 *     NAME/log.jsonl    NAME/checkpoints/step-000500.safetensors    NAME/text.txt
 *
 * The text is there where no file of it is: a page learns from what was pasted.
 */
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate'
import { SluiceError } from '../errors.ts'
import { reason } from '../hub/files.ts'
import { type Checkpoint, writeCheckpoint } from './checkpoint.ts'
import { MemoryFiles } from './memory-files.ts'
import { checkpointFolder, type LogEntry, logFile, logLines, logText } from './run.ts'

/** The text of a run in its folder. */
export const textFile = 'text.txt'

export const archiveExtension = '.zip'

/** A run that is not on a disk. */
export interface ArchivedRun {
  /** Of its folder in `files`. */
  readonly name: string
  readonly files: MemoryFiles
  readonly log: readonly LogEntry[]
  readonly text: string | undefined
}

/**
 * The archive of a run.
 *
 * @example
 * const bytes = await packRun('parity', await session.snapshot(), session.log.entries)
 */
export async function packRun(
  name: string,
  checkpoint: Checkpoint,
  log: readonly LogEntry[],
  text?: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const files = new MemoryFiles([[logFile(name), strToU8(logText(log))]])
  await writeCheckpoint(checkpointFolder(name), checkpoint, { files })
  const contents = Object.fromEntries(files.contents)
  if (text !== undefined) contents[`${name}/${textFile}`] = strToU8(text)
  // Weights hardly shrink; the fastest level takes what there is.
  return zipSync(contents, { level: 1 })
}

/** Files of a run, by their paths inside its folder; whatever else an archive holds is left there. */
const isOfRun = (path: string): boolean =>
  path === 'log.jsonl' || path === textFile || /^checkpoints\/step-\d+\.safetensors$/.test(path)

/**
 * The run in an archive: of `packRun`, or of a folder that was zipped whole.
 *
 * @param fileName names the run where the archive has no folder, and the archive in errors
 * @throws SluiceError when it is no zip, is damaged, or holds no run or several
 */
export function unpackRun(bytes: Uint8Array, fileName: string): ArchivedRun {
  let unzipped: Record<string, Uint8Array>
  try {
    unzipped = unzipSync(bytes)
  } catch (error) {
    throw new SluiceError('unpackRun', `${fileName} is not a whole zip: ${reason(error)}`)
  }
  const found = Object.entries(unzipped).flatMap(([path, content]) => {
    const place = /^(?:(?:.*\/)?([^/]+)\/)?((?:checkpoints\/)?[^/]+)$/.exec(path)
    return place && isOfRun(place[2]!) ? [{ folder: place[1] ?? '', path: place[2]!, content }] : []
  })
  const folders = [...new Set(found.filter(({ path }) => path.startsWith('checkpoints/')).map(({ folder }) => folder))]
  if (folders.length !== 1) {
    const names = folders.length === 0 ? 'none' : folders.join(', ')
    throw new SluiceError('unpackRun', `${fileName} must hold the checkpoints of one run, got ${names}`)
  }
  const [folder] = folders
  const name = folder || fileName.replace(/^.*[\\/]/, '').replace(/\.zip$/i, '') || 'run'
  const own = found.filter((file) => file.folder === folder)
  const content = (path: string) => own.find((file) => file.path === path)?.content
  const [log, text] = [content('log.jsonl'), content(textFile)]
  return {
    name,
    files: new MemoryFiles(own.map((file) => [`${name}/${file.path}`, file.content])),
    log: log ? logLines(strFromU8(log)) : [],
    text: text && strFromU8(text),
  }
}
