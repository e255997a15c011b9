/** The search: a dialog over the page, opened by its button or by `/`. The texts are fetched when it is first opened. */
import MiniSearch from 'minisearch'
import type { SearchDocument } from '../search-documents.ts'

const button = document.querySelector<HTMLButtonElement>('#search-button')!
const dialog = document.querySelector<HTMLDialogElement>('#search')!
const field = dialog.querySelector<HTMLInputElement>('input')!
const list = dialog.querySelector<HTMLOListElement>('ol')!
const status = dialog.querySelector<HTMLElement>('[role=status]')!
const root = new URL(button.dataset.root!, location.href)

let opened: Promise<MiniSearch<SearchDocument>> | undefined

async function openIndex(): Promise<MiniSearch<SearchDocument>> {
  const answer = await fetch(new URL('assets/search.json', root))
  if (!answer.ok) throw new Error(`search.json: ${answer.status}`)
  const index = new MiniSearch<SearchDocument>({
    fields: ['title', 'page', 'text'],
    storeFields: ['page', 'title', 'url', 'text'],
    searchOptions: { boost: { title: 4, page: 2 }, prefix: true, fuzzy: 0.15, combineWith: 'AND' },
    // `gatedAttention` is found by its words too.
    processTerm: (term) => {
      const words = term.split(/(?<=[a-z])(?=[A-Z])/).map((word) => word.toLowerCase())
      return words.length > 1 ? [...words, term.toLowerCase()] : term.toLowerCase()
    },
  })
  index.addAll((await answer.json()) as SearchDocument[])
  return index
}

/** Some words around the first place where one of the terms stands. */
function excerpt(text: string, terms: readonly string[]): string {
  const lower = text.toLowerCase()
  const places = terms.map((term) => lower.indexOf(term)).filter((at) => at >= 0)
  const at = places.length > 0 ? Math.max(0, Math.min(...places) - 50) : 0
  return `${at > 0 ? '… ' : ''}${text.slice(at, at + 150).trim()}${text.length > at + 150 ? ' …' : ''}`
}

let asked = 0

async function show(): Promise<void> {
  const mine = ++asked
  const query = field.value.trim()
  const index = await (opened ??= openIndex())
  if (mine !== asked) return
  const found = query === '' ? [] : index.search(query).slice(0, 12)
  list.replaceChildren(
    ...found.map((result) => {
      const link = document.createElement('a')
      link.href = new URL(String(result.url), root).href
      const title = document.createElement('strong')
      title.textContent = result.title === result.page ? result.title : `${result.page}: ${result.title}`
      const words = document.createElement('span')
      words.textContent = excerpt(String(result.text), result.terms)
      link.append(title, words)
      const item = document.createElement('li')
      item.append(link)
      return item
    }),
  )
  status.textContent = query === '' ? '' : found.length === 0 ? 'Nothing found.' : `${found.length} found.`
}

function refuse(error: unknown): void {
  status.textContent = `The search could not be opened: ${String(error)}. A page opened as a file cannot read its index; serve the folder.`
  opened = undefined
}

function open(): void {
  dialog.showModal()
  field.select()
  show().catch(refuse)
}

/** Arrow keys walk through the field and the links. */
function walk(step: 1 | -1): void {
  const stops: HTMLElement[] = [field, ...list.querySelectorAll('a')]
  const at = stops.indexOf(document.activeElement as HTMLElement)
  stops[Math.min(stops.length - 1, Math.max(0, at + step))]?.focus()
}

button.hidden = false
button.addEventListener('click', open)
field.addEventListener('input', () => show().catch(refuse))
dialog.querySelector('form')!.addEventListener('submit', (event) => {
  if ((event.submitter as HTMLButtonElement | null)?.value === 'close') return
  event.preventDefault()
  list.querySelector('a')?.click()
})
list.addEventListener('click', () => dialog.close())
dialog.addEventListener('click', (event) => {
  if (event.target === dialog) dialog.close()
})
dialog.addEventListener('keydown', (event) => {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
  event.preventDefault()
  walk(event.key === 'ArrowDown' ? 1 : -1)
})
document.addEventListener('keydown', (event) => {
  const typing = (event.target as HTMLElement).closest('input, textarea, select')
  if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return
  event.preventDefault()
  open()
})
