/** The page: the controller in a browser, drawn at most once a frame. */
import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Controller } from './controller.ts'
import { Lab } from './lab.tsx'
import type { WorkerMessage } from './protocol.ts'
import type { View } from './view.ts'

const root = document.getElementById('lab')!
const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches

let isAsked = false
let latest: View
let draw: ((view: View) => void) | undefined

function show(view: View): void {
  latest = view
  if (isAsked) return
  isAsked = true
  requestAnimationFrame(() => {
    isAsked = false
    draw?.(latest)
  })
}

/** Rendered once and then by its state: a root that is rendered again gives ids a second time. */
function Root({ controller }: { readonly controller: Controller }) {
  const [view, setView] = useState(controller.view)
  useEffect(() => {
    draw = setView
    setView(latest)
  }, [])
  return <Lab view={view} controller={controller} />
}

function save(name: string, bytes: ArrayBuffer): void {
  const address = URL.createObjectURL(new Blob([bytes]))
  const link = Object.assign(document.createElement('a'), { href: address, download: name })
  link.click()
  // A browser begins to read in its own time.
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}

let urlTimer: ReturnType<typeof setTimeout> | undefined

const controller = new Controller(
  {
    openWorker(take, fail) {
      const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' })
      worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => take(data)
      worker.onerror = ({ message }) => fail(`The worker stopped: ${message || 'it could not be loaded'}. Start again.`)
      return { post: (message) => worker.postMessage(message), terminate: () => worker.terminate() }
    },
    readHash: () => location.hash,
    writeHash(hash) {
      // Browsers refuse an address that changes too often.
      clearTimeout(urlTimer)
      urlTimer = setTimeout(
        () => history.replaceState(null, '', hash ? `#${hash}` : location.pathname + location.search),
        200,
      )
    },
    async loadSample() {
      const response = await fetch(new URL('moby-dick.txt', import.meta.url))
      if (!response.ok)
        throw new Error(`The sample text could not be loaded: ${response.status}. Paste a text instead.`)
      return response.text()
    },
    save,
    lookEvery: isCalm ? 1000 : 100,
  },
  show,
)
root.replaceChildren()
render(<Root controller={controller} />, root)
addEventListener('hashchange', () => controller.readUrl())
