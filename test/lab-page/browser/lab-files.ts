/** The lab, bundled from its sources, by the path that a browser asks for each file with. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bundle } from '../../browser/bundle.ts'

const folder = join(import.meta.dirname, '../../../docs/lab')

export async function labFiles(): Promise<Map<string, string>> {
  const files = await bundle([
    { in: join(folder, 'src/page.tsx'), out: 'page' },
    { in: join(folder, 'src/worker.ts'), out: 'worker' },
    { in: join(folder, 'src/style.css'), out: 'page' },
  ])
  files.set('/', await readFile(join(folder, 'index.html'), 'utf8'))
  files.set('/moby-dick.txt', 'Call me Ishmael. Some years ago, never mind how long precisely. '.repeat(40))
  return files
}
