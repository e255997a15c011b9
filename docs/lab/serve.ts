/**
 * Serves the built lab with the two headers that isolate a page from other origins: without them a page may not share memory between
 * threads. esbuild's own server cannot set headers.
 */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'

const folder = 'dist-lab'
const port = Number(process.env.PORT ?? 8080)

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
}

createServer(async (request, response) => {
  // A path is made absolute before it is joined, so '..' ends at the folder.
  const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname)
  const file = path.endsWith('/') ? `${path}index.html` : path
  const bytes = await readFile(join(folder, file)).catch(() => undefined)
  response.writeHead(bytes ? 200 : 404, {
    'content-type': types[bytes ? extname(file) : '.txt'] ?? 'application/octet-stream',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
    'cache-control': 'no-cache',
  })
  response.end(bytes ?? `there is no ${file}`)
}).listen(port, () => console.log(`http://localhost:${port}/`))
