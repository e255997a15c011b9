/**
 * The study's report: one HTML file that stands alone, from plain data.
 *
 * No scripts and nothing fetched: charts are SVG, attention maps are images inside the file. The same data gives the
 * same file, byte for byte. Arms are told apart by shape and dash as well as by colour, so that a print says the same.
 */
import { page } from '../../train/report/page.ts'
import { configurationSection } from '../../train/report/sections.ts'
import { growthSection, mapSection } from './attention.ts'
import { inContextSection, lengthSection } from './context.ts'
import { activationSection, curveSection } from './curves.ts'
import { checkStudyData, type StudyData } from './data.ts'
import { clampSection, gateSection, outputSection } from './gates.ts'
import { header, runsSection, verdictSection } from './overview.ts'
import { rateSection } from './rates.ts'
import { scalingSection } from './scaling.ts'
import { studyStyle } from './style.ts'
import { variantSection } from './variants.ts'

/**
 * Draws a study as a self-contained HTML page. A section whose data is not there is left out, with a sentence that says so.
 *
 * @throws SluiceError when there is no run, one job was run twice, a run has neither loss nor divergence, or a map does
 * not have one weight for each pair of tokens
 *
 * @example
 * writeFileSync('study.html', renderStudy(study))
 */
export function renderStudy(data: StudyData): string {
  checkStudyData(data)
  const parts = [
    header(data),
    verdictSection(data),
    runsSection(data),
    variantSection(data),
    mapSection(data),
    growthSection(data),
    activationSection(data),
    gateSection(data),
    outputSection(data),
    clampSection(data),
    curveSection(data),
    rateSection(data),
    scalingSection(data),
    lengthSection(data),
    inContextSection(data),
    configurationSection({ configuration: data.settings }),
  ]
  return page(data.title, parts, studyStyle)
}
