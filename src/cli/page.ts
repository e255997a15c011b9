/** Writing a report's page. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ReportData } from '../train/report/data.ts'

/** Draws a report into a file, whose folder is made if missing; gives its path. */
export async function writePage(path: string, data: ReportData): Promise<string> {
  // Loaded here, as the library of charts takes longer to load than all else together.
  const { renderReport } = await import('../train/report/report.ts')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, renderReport(data))
  return path
}
