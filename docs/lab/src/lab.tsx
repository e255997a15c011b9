/** The whole page. */
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Controller } from './controller.ts'
import { rampStyle } from './paint.ts'
import { ArmHead, ArmMaps, ArmScores, type Scales } from './panels/arm.tsx'
import { Controls } from './panels/controls.tsx'
import { Curves } from './panels/curves.tsx'
import { Files } from './panels/files.tsx'
import { FollowedToken } from './panels/followed.tsx'
import { topOf } from './panels/histogram.tsx'
import { Layers } from './panels/layers.tsx'
import { greatestOf } from './panels/memory.tsx'
import { Numbers } from './panels/numbers.tsx'
import { PassagePanel } from './panels/passage.tsx'
import { Transport } from './panels/transport.tsx'
import type { View } from './view.ts'
import { arms } from './words.ts'

interface Props {
  readonly view: View
  readonly controller: Controller
}

/** Both runs are drawn on the same scales. */
function scalesOf({ look }: View): Scales {
  const looks = look?.arms ?? []
  return {
    share: Math.max(0, ...looks.map(({ histogram }) => (histogram ? topOf(histogram) : 0))),
    memory: Math.max(0, ...looks.map(({ state }) => (state ? greatestOf(state) : 0))),
  }
}

/** What there is to see in the runs that are chosen. */
function lead({ state, opened }: View): string {
  const [a, b] = state.arms
  const isOpened = opened.some((name) => name !== undefined)
  const isSink =
    !isOpened && state.data === 'bigramBackcopy' && a.mixer === 'attention' && a.gate === 'none' && b.gate === 'G1'
  if (!isSink)
    return 'Two models learn the same data from the same seed, in this tab. They differ in what the settings of run A and run B say.'
  return (
    'Two models learn the same data from the same seed, in this tab. Without a gate, a head that has nothing to say learns to rest on the first ' +
    'token: the left column of A’s maps fills, the attention sink. B can close its gate instead, and its column stays light.'
  )
}

/** Where there is no room beside the results they are folded, so that these come first. */
const wide = matchMedia('(min-width: 1101px)')

function Settings({ view, controller }: Props) {
  const [isOpen, setOpen] = useState(wide.matches)
  useEffect(() => {
    const follow = (): void => setOpen(wide.matches)
    wide.addEventListener('change', follow)
    return () => wide.removeEventListener('change', follow)
  }, [])
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Settings</summary>
      <Controls view={view} controller={controller} />
    </details>
  )
}

export function Lab({ view, controller }: Props) {
  const { state, opened, started, look, cell, refusal } = view
  // Parts that a step does not change are not made again at each.
  const settings = useMemo(() => <Settings view={view} controller={controller} />, [state, opened, controller])
  const looked = [state, started, look, cell, refusal, controller]
  const each = { view, controller, scales: useMemo(() => scalesOf(view), [look]) }
  const layers = useMemo(() => <Layers view={view} controller={controller} />, looked)
  const maps = useMemo(() => arms.map((arm) => <ArmMaps key={arm} arm={arm} {...each} />), looked)
  const passage = useMemo(() => <PassagePanel view={view} controller={controller} />, looked)
  const scores = useMemo(() => arms.map((arm) => <ArmScores key={arm} arm={arm} {...each} />), looked)
  const followedToken = useMemo(() => <FollowedToken view={view} />, looked)
  return (
    <>
      {/* No link: what stands after '#' in the address is the state. */}
      <button type="button" class="skip" onClick={() => document.getElementById('maps')?.focus()}>
        To the maps
      </button>
      <header class="top">
        <h1>
          Sluice <span>lab</span>
        </h1>
        <p>{lead(view)}</p>
      </header>
      {view.problems.length > 0 && (
        <div class="problems" role="status">
          <p>Not all of this page’s address could be read:</p>
          <ul>
            {view.problems.map((problem) => (
              <li key={problem}>{problem}</li>
            ))}
          </ul>
        </div>
      )}
      <div class="frame">
        <main>
          <Transport view={view} controller={controller} />
          {view.failure !== undefined && (
            <p class="failure" role="alert">
              {view.failure}
              {view.state.device === 'webgpu' && ' The settings offer WebAssembly too.'}
            </p>
          )}
          <div class="results" aria-busy={view.phase === 'opening'}>
            <section id="maps" tabIndex={-1} aria-label="Attention maps">
              <div class="maps-bar">
                {layers}
                <p class="ramp">
                  <span>Rows attend to columns:</span>
                  <span>0</span>
                  <i style={{ background: rampStyle }} />
                  <span>1</span>
                  <span class="sr">Colours of attention weights, from light to dark.</span>
                </p>
              </div>
              <div class="pair">
                {arms.map((arm) => (
                  <div key={arm} class="column">
                    <ArmHead arm={arm} view={view} />
                    {maps[arm]}
                  </div>
                ))}
              </div>
            </section>
            {passage}
            <Curves view={view} />
            <div class="all-scores">{scores}</div>
            <div class="tables">
              {followedToken}
              <Numbers view={view} />
            </div>
            <Files view={view} controller={controller} />
          </div>
        </main>
        <aside aria-label="Settings">{settings}</aside>
      </div>
      <p class="sr" aria-live="polite">
        {view.spoken}
      </p>
    </>
  )
}
