/** The run that `--resume` goes on with. */
import { access, rename, rm } from 'node:fs/promises'
import { basename, dirname, extname, join, relative, resolve } from 'node:path'
import { SluiceError } from '../errors.ts'
import { splitPath, unfinished, writeWhole } from '../hub/files.ts'
import { showValue } from '../shown.ts'
import { archiveExtension, readArchive, textFile } from '../train/archive.ts'
import { nodeFiles, readCheckpoint } from '../train/checkpoint.ts'
import { savedConfig } from '../train/load.ts'
import { checkpointFolder } from '../train/run.ts'
import { loadText } from '../train/text.ts'

export interface ResumedRun {
  /** Where the run goes on. */
  readonly folder: string
  readonly resume: string | true
  /** The text in the folder of a run that brings its own. */
  readonly text: string | undefined
}

/**
 * @param given a run's folder, a checkpoint file, or an archive, which is unpacked into a folder beside it
 * @throws SluiceError when that folder is there already
 */
export async function resumed(given: string): Promise<ResumedRun> {
  if (given.endsWith(archiveExtension)) {
    const folder = await unpackBeside(given)
    return { folder, resume: true, text: await ownText(folder) }
  }
  if (!given.endsWith('.safetensors')) {
    const folder = relative('.', given) || '.'
    return { folder, resume: true, text: await ownText(folder) }
  }
  const folder = folderOf(given)
  return { folder, resume: given, text: await ownText(folder) }
}

/** The folder of a checkpoint's run; beside a checkpoint that lies by itself. */
function folderOf(file: string): string {
  const inside = dirname(resolve(file))
  const folder = basename(inside) === 'checkpoints' ? dirname(inside) : withoutExtension(resolve(file))
  return relative('.', folder) || '.'
}

const withoutExtension = (path: string): string => join(dirname(path), basename(path, extname(path)))

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

async function ownText(folder: string): Promise<string | undefined> {
  const path = join(folder, textFile)
  return (await exists(path)) ? loadText(path) : undefined
}

async function unpackBeside(path: string): Promise<string> {
  const { name, files, text } = await readArchive(path)
  const checkpoint = await readCheckpoint(checkpointFolder(name), { files })
  const { text: learned, train } = savedConfig(path, checkpoint)
  if (learned && text === undefined) {
    // The configuration of a zip is anybody's; a path in it is not followed.
    throw new SluiceError(
      'sluice train',
      `${path} learned the text ${showValue(train.data.text ?? 'of a program')}, which is not in it: add that text to the zip as ${textFile} beside the log, ` +
        'or unpack the zip, and resume its folder',
    )
  }
  const folder = withoutExtension(path)
  if (await exists(folder)) {
    throw new SluiceError(
      'sluice train',
      `${path} would be unpacked into ${folder}, which is there already: go on with --resume ${folder}, or move it away`,
    )
  }
  // It gets its name when it is whole: one that was stopped half-way is not taken for the run, and is made anew.
  const temporary = folder + unfinished
  await rm(temporary, { recursive: true, force: true })
  for (const [inside, bytes] of files.contents) {
    const target = join(temporary, inside.slice(name.length + 1))
    await nodeFiles.makeFolder(dirname(target))
    await writeWhole('sluice train', target, (write) => write(bytes))
  }
  await rename(temporary, folder)
  await nodeFiles.syncFolder(splitPath(folder)[0])
  return folder
}
