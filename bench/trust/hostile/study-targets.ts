/** Settings and results of studies, as `sluice study` and `sluice study merge` take them from files; and the pages that show them. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { studyCommand } from '../../../src/cli/study.ts'
import { gatherRuns, studyData } from '../../../src/lab/study/gather.ts'
import { studyPresets } from '../../../src/lab/study/presets.ts'
import { studyRun, studySettings } from '../../../src/lab/study/read.ts'
import { jobName, type StudySettings, studyJobs } from '../../../src/lab/study/settings.ts'
import { renderStudy } from '../../../src/lab/study-report/report.ts'
import { studyTables } from '../../../src/lab/study-report/tables.ts'
import { made } from '../../../test/lab/study-report/small-study.ts'
import { hostileJson } from './json.ts'
import { parsed } from './run-targets.ts'
import { bytesOf, type ReadyTarget } from './target.ts'

const words = [
  ...[
    'preset',
    'title',
    'data',
    'sizes',
    'base',
    'main',
    'variants',
    'size',
    'steps',
    'seeds',
    'rates',
    'learningRates',
  ],
  ...[
    'scaling',
    'baseline',
    'g1-elementwise',
    'learningRate',
    'job',
    'group',
    'curve',
    'loss',
    'measures',
    'maps',
    'heads',
  ],
  ...[
    'tokens',
    'spikes',
    'length',
    'diverged',
    'step',
    'reason',
    '../../x',
    '/etc',
    'a/../../x',
    'firstToken',
    '<script>',
  ],
]

const smoke: StudySettings = {
  ...studyPresets.smoke!,
  seeds: [1],
  rates: { ...studyPresets.smoke!.rates, seeds: 0 },
  scaling: { ...studyPresets.smoke!.scaling, seeds: 0 },
}

const runs = studyJobs(smoke).map((job, i) => ({
  ...made({
    job,
    gate: i > 0 ? 0.3 : null,
    changes: {
      maps: { tokens: ['a', '<'], layers: [{ heads: [[1, 0, 0.5, 0.5]] }] },
      length: [{ length: 64, loss: 2, rescaled: 2 }],
      inContext: { early: 2, late: 1.5, prefixMatching: 0.4 },
    },
  }),
  name: jobName(job),
}))

export const settings: ReadyTarget = async () => {
  const valid = [smoke, studyPresets.full]
  return {
    valid: valid.map((each) => bytesOf(JSON.stringify(each))),
    words,
    made: hostileJson(valid, words).map(bytesOf),
    besides: 0,
    read: (bytes) => void studyJobs(studySettings(parsed(bytes))).map(jobName),
  }
}

/** One run of a study is hostile; tables and report are made of all. */
export const result: ReadyTarget = async () => {
  const [hostile, ...rest] = runs
  return {
    valid: [bytesOf(JSON.stringify(hostile))],
    words,
    made: hostileJson([hostile], words).map(bytesOf),
    besides: 10_000,
    read(bytes) {
      const run = studyRun(parsed(bytes), 'result.json')
      const data = studyData(smoke, gatherRuns(smoke, [run, ...rest]), { machine: '', createdAt: '' })
      studyTables(data)
      // Drawing takes a hundred times as long as all else; the merge below always does it.
      if (bytes.length % 8 === 0) renderStudy(data)
    },
  }
}

/** The command, on a folder whose settings or results are hostile. */
export const merge: ReadyTarget = async (folder) => {
  const [from, into] = [join(folder, 'from'), join(folder, 'into')]
  const kept = new Set(['from', 'into'])
  const texts = [JSON.stringify(smoke), JSON.stringify(runs[0])]
  return {
    valid: texts.map(bytesOf),
    words,
    made: fc.oneof(hostileJson([smoke], words), hostileJson([runs[0]], words)).map(bytesOf),
    besides: 20_000,
    async read(bytes) {
      const isRun = Buffer.from(bytes).includes('"job"')
      await rm(into, { recursive: true, force: true })
      for (const { name } of runs) await mkdir(join(from, 'runs', name), { recursive: true })
      await writeFile(join(from, 'settings.json'), isRun ? texts[0]! : bytes)
      await writeFile(join(from, 'runs', runs[0]!.name, 'result.json'), isRun ? bytes : texts[1]!)
      const { log } = console
      console.log = () => {}
      try {
        await studyCommand.run(['merge', from, '--folder', into])
      } finally {
        console.log = log
      }
      const stray = (await readdir(folder)).find((name) => !kept.has(name))
      if (stray !== undefined) throw new Error(`it made ${stray}`)
    },
  }
}
