/** Runs to files and back: what is downloaded goes on on a command line, and a run of the command line goes on here. */
import { useId } from 'preact/hooks'
import type { Controller } from '../controller.ts'
import type { View } from '../view.ts'
import { armNames, arms } from '../words.ts'

interface Props {
  readonly view: View
  readonly controller: Controller
}

export function Files({ view, controller }: Props) {
  const id = useId()
  const { opened, downloaded, started } = view
  return (
    <section class="panel files" aria-labelledby={`${id}-title`}>
      <h3 id={`${id}-title`}>Files</h3>
      <div class="pair">
        {arms.map((arm) => (
          <div key={arm} class={`arm-${arm}`}>
            <button
              type="button"
              disabled={!started || view.phase === 'opening' || view.phase === 'failed'}
              onClick={() => controller.download(arm)}
            >
              Download run {armNames[arm]}
            </button>
            <div class="field">
              <label for={`${id}-${arm}`}>Open a file as run {armNames[arm]}</label>
              <input
                id={`${id}-${arm}`}
                type="file"
                accept=".zip,.safetensors"
                onChange={(event) => {
                  const file = event.currentTarget.files?.[0]
                  if (file) void controller.open(arm, file)
                  event.currentTarget.value = ''
                }}
              />
            </div>
            {opened[arm] !== undefined && (
              <p class="note">
                {opened[arm]} is open; the address of this page does not hold it.{' '}
                <button type="button" class="quiet" onClick={() => controller.close(arm)}>
                  Close it
                </button>
              </p>
            )}
          </div>
        ))}
      </div>
      {downloaded && (
        <p class="note" role="status">
          {downloaded.name} is downloaded. On a command line it goes on with <code>{downloaded.command}</code>
        </p>
      )}
    </section>
  )
}
