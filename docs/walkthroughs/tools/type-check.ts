/** Type-checks pages, so that a reader who copies a block gets no error. Lines of messages are the pages'. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, walkthroughs } from './entries.ts'
import { moduleOf, type Page } from './page.ts'

/** What the compiler says of them, a message a line; empty when nothing is wrong. */
export async function typeCheck(pages: readonly Page[]): Promise<string[]> {
  mkdirSync(join(root, '.cache'), { recursive: true })
  const folder = mkdtempSync(join(root, '.cache/walkthrough-types-'))
  try {
    for (const page of pages) writeFileSync(join(folder, `${page.name}.ts`), moduleOf(page))
    const settings = {
      extends: join(root, 'tsconfig.json'),
      // A page finds its helpers as if it lay where it is written.
      compilerOptions: { rootDirs: [folder, walkthroughs], noEmit: true },
      include: ['*.ts'],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(settings))
    const text = await new Promise<string>((resolve) => {
      const tsc = join(root, 'node_modules/typescript/bin/tsc')
      execFile(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], (_error, stdout, stderr) =>
        resolve(stdout + stderr),
      )
    })
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => line.replace(/^\S*?walkthrough-types-[^/]+\/(\S+)\.ts\((\d+),\d+\)/, 'docs/walkthroughs/$1.md:$2'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
