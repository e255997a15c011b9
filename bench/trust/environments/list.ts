/** The environments that Node alone gives: less than the usual, one thing at a time. */

export interface Environment {
  /** What is missing or other than usual. */
  readonly name: string
  /** What runs `program`. */
  command(program: readonly string[]): readonly string[]
  readonly variables?: Readonly<Record<string, string>>
  readonly isNobody?: boolean
  /** Left out of the short form. */
  readonly isLong?: boolean
  /** Threads that must take part, where that is what is tried. */
  readonly threads?: number
  /** What the program is given; `train cpu out` unless given. */
  readonly given?: readonly string[]
  /** Folder in the consumer's. */
  readonly folder?: string
  /** The sentence that it stops with; it gives the right numbers where there is none. */
  readonly sentence?: RegExp
}

const node =
  (...flags: readonly string[]) =>
  (program: readonly string[]): readonly string[] => [process.execPath, ...flags, ...program]

/** With an address space of so many KiB. */
const limited =
  (kibibytes: number, ...flags: readonly string[]) =>
  (program: readonly string[]): readonly string[] => [
    'bash',
    '-c',
    `ulimit -v ${kibibytes}; exec "$@"`,
    'bash',
    ...node(...flags)(program),
  ]

const major = Number(process.versions.node.split('.')[0])
const permission = major < 24 ? '--experimental-permission' : '--permission'
const files = ['--allow-fs-read=*', '--allow-fs-write=*']
const needsVectors = /^cpu device: it computes in vectors of WebAssembly \(SIMD\).*--device reference/
const needsWebAssembly = /^cpu device: it computes in WebAssembly, which this engine does not have.*--device reference/

/** Each gives the numbers of the plain run. */
export const withNumbers: readonly Environment[] = [
  { name: 'as it is', command: node() },
  { name: 'one thread', command: node(), variables: { SLUICE_THREADS: '1' }, threads: 1 },
  { name: 'three threads', command: node(), variables: { SLUICE_THREADS: '3' }, threads: 3, isLong: true },
  { name: 'plain vectors', command: node(), variables: { SLUICE_SIMD: 'plain' } },
  { name: 'one processor', command: (program) => ['taskset', '-c', '0', ...node()(program)], threads: 1 },
  // Newer versions of V8 have no such flag.
  ...(major < 22
    ? [{ name: 'no SharedArrayBuffer', command: node('--no-harmony-sharedarraybuffer'), threads: 1 }]
    : []),
  // From Node 24 on, what permits nothing permits no fsync either.
  ...(major < 24 ? [{ name: 'no worker_threads', command: node(permission, ...files), threads: 1 }] : []),
  { name: 'a heap of 64 MB', command: node('--max-old-space-size=64'), isLong: true },
  { name: '4 GB of addresses', command: limited(4_000_000, '--disable-wasm-trap-handler'), isLong: true },
]

/** Each ends with one sentence. */
export const withSentence: readonly Environment[] = [
  { name: 'no WebAssembly SIMD', command: node('--no-enable-sse4-1'), sentence: needsVectors },
  { name: 'no WebAssembly', command: node('--jitless'), sentence: needsWebAssembly },
  {
    name: 'two threads without worker_threads',
    command: node(permission, ...files),
    variables: { SLUICE_THREADS: '2' },
    sentence: /^cpu device: 2 threads: worker threads are not permitted here: .*--allow-worker; or ask for 1/,
  },
  {
    name: 'no room for a memory',
    command: limited(4_000_000),
    sentence: /^cpu device: WebAssembly has no room for its memory .*ulimit -v.*--disable-wasm-trap-handler/,
  },
  {
    name: 'a memory that cannot grow',
    command: limited(1_500_000, '--disable-wasm-trap-handler'),
    variables: { SLUICE_THREADS: '1' },
    given: ['fill'],
    sentence: /^cpu device: out of memory: asked for \d+ bytes .*the system gives no more/,
  },
  {
    name: 'a read-only folder',
    command: node(),
    folder: 'fixed',
    isNobody: true,
    sentence: /^writeCheckpoint: out\/attention\/step-000001\.safetensors: making the folder failed: EACCES/,
  },
]
