/**
 * A run as one file: the folder that `sluice train` writes, in a zip.
 *
 *     NAME/log.jsonl    NAME/checkpoints/step-000500.safetensors    NAME/text.txt
 *
 * The text is there where no file of it is: a page learns from what was pasted.
 */
import { strFromU8, strToU8, zipSync } from 'fflate'
import { SluiceError } from '../errors.ts'
import { reason } from '../hub/files.ts'
import { type Checkpoint, nodeFiles, writeCheckpoint } from './checkpoint.ts'
import { MemoryFiles } from './memory-files.ts'
import { checkpointFolder, type LogEntry, logFile, logLines, logText } from './run.ts'
import { unzip } from './zip.ts'

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

/** A file of a run, in a folder anywhere; whatever else an archive holds is left there. */
const fileOfRun = /^(?:(.*)\/)?(log\.jsonl|text\.txt|checkpoints\/step-\d+\.safetensors)$/

/**
 * The run in an archive: of `packRun`, or of a folder that was zipped whole.
 *
 * @param fileName names the run where the archive has no folder, and the archive in errors
 * @throws SluiceError when it is no zip, is damaged, or holds no run or several
 */
export function unpackRun(bytes: Uint8Array, fileName: string): ArchivedRun {
  let unzipped: Map<string, Uint8Array>
  try {
    unzipped = unzip(bytes, (entry) => fileOfRun.test(entry))
  } catch (error) {
    throw new SluiceError('unpackRun', `${fileName} is not a whole zip: ${reason(error)}`)
  }
  const found = [...unzipped].flatMap(([entry, content]) => {
    const [, folder = '', path] = fileOfRun.exec(entry) ?? []
    return path === undefined ? [] : [{ folder, path, content }]
  })
  const isCheckpoint = ({ path }: { path: string }) => path.startsWith('checkpoints/')
  const folders = [...new Set(found.filter(isCheckpoint).map(({ folder }) => folder))]
  if (folders.length !== 1) {
    const got = folders.length === 0 ? 'none' : folders.join(', ')
    throw new SluiceError('unpackRun', `${fileName} must hold the checkpoints of one run, got ${got}`)
  }
  const name = [folders[0]!, fileName.replace(/\.zip$/i, ''), 'run'].map(lastPart).find((part) => part !== '')!
  const own = found.filter(({ folder }) => folder === folders[0])
  const content = (path: string) => own.find((file) => file.path === path)?.content
  const [log, text] = [content('log.jsonl'), content(textFile)]
  return {
    name,
    files: new MemoryFiles(own.map((file) => [`${name}/${file.path}`, file.content])),
    log: log ? logLines(strFromU8(log)) : [],
    text: text && strFromU8(text),
  }
}

/** What a path names; '' where it names no place of its own. */
const lastPart = (path: string): string => path.replace(/^.*[\\/]/, '').replace(/^\.+$/, '')

/** The run in an archive on the disk. @throws SluiceError when it cannot be read, and as `unpackRun` does */
export async function readArchive(path: string): Promise<ArchivedRun> {
  const bytes = await nodeFiles.read(path).catch((error: unknown) => {
    throw new SluiceError('readArchive', `${path} cannot be read: ${reason(error)}`)
  })
  return unpackRun(bytes, path)
}
