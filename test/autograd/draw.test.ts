/** Drawn graphs: what they show, that they are well formed, and that nothing lies on top of anything. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { layered } from '../../src/autograd/draw-layout.ts'
import { toDot, toSvg } from '../../src/autograd/draw-text.ts'
import { findDevice } from '../../src/device/registry.ts'
import { attention, draw, type Nested, randn, scope, type Tensor, tensor } from '../../src/index.ts'

function parameter(data: Nested, label: string): Tensor {
  const t = tensor(data, { requiresGrad: true })
  t.label = label
  return t
}

const plainText = (text: string) =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')

/** Checks that tags nest and close, that nothing raw is left in text, and gives the texts of `<text>` elements. */
function parseSvg(svg: string): string[] {
  const open: string[] = []
  const texts: string[] = []
  const token = /<(\/?)([a-zA-Z]+)((?: [a-zA-Z:-]+="[^"<]*")*)(\/?)>|([^<]+)/y
  while (token.lastIndex < svg.length) {
    const at = token.lastIndex
    const match = token.exec(svg)
    if (!match) throw new Error(`not well formed at: ${svg.slice(at, at + 80)}`)
    const [, closes, name, , empty, content] = match
    if (content !== undefined) {
      expect(content).toMatch(/^(?:[^&]|&(?:lt|gt|quot|amp|#39);)*$/)
      if (open.at(-1) === 'text') texts.push(plainText(content))
    } else if (closes) expect(open.pop()).toBe(name)
    else if (!empty) open.push(name)
  }
  expect(open).toEqual([])
  return texts
}

/** Texts of the boxes, a list each, by label; a box is a group with a frame. */
function boxes(svg: string): string[][] {
  return [...svg.matchAll(/<g><title>[^<]*<\/title><rect.*?<\/g>/g)].map(([box]) => parseSvg(box))
}

describe('draw', () => {
  test('shows labels, shapes, values and gradients of a scalar program', async () => {
    const [a, b] = [parameter(2, 'a'), parameter(-3, 'b')]
    const c = a.mul(b)
    c.label = 'c'
    const y = c.add(a).square()
    y.label = 'y'
    const { svg, dot } = await draw(y)
    // y = (a b + a)^2 = 16, with dy/da = 2 (-4) (b + 1) = 16 and dy/db = 2 (-4) a = -16.
    const found = boxes(svg)
    expect(found).toContainEqual(['a', '[]', 'value', '2.0', 'gradient', '16.0'])
    expect(found).toContainEqual(['b', '[]', 'value', '-3.0', 'gradient', '-16.0'])
    expect(found).toContainEqual(['c', '[]', 'value', '-6.0', 'gradient', '-8.0'])
    expect(found).toContainEqual(['y', '[]', 'value', '16.0', 'gradient', '1.0'])
    expect(found).toHaveLength(5)
    expect(parseSvg(svg)).toEqual(expect.arrayContaining(['mul', 'add', 'square']))
    expect(dot).toContain('label="{ a\\ [] | { value 2.0 | grad 16.0 } }"')
    expect(dot.match(/->/g)).toHaveLength(8)
    expect([a.grad, b.grad]).toEqual([null, null])
  })

  test('draws every use, of a tensor used twice too', async () => {
    const x = parameter([1, 2], 'x')
    const l = x.exp()
    const { dot, svg } = await draw(l.mul(l).add(x.mul(x)).sum())
    // mul twice with two edges in, add with two, exp and sum with one, and one out of each of the five.
    expect(dot.match(/->/g)).toHaveLength(13)
    expect(svg.match(/<path d="M[^"]*" marker-end/g)).toHaveLength(13)
    expect(boxes(svg)).toHaveLength(6)
  })

  test('frees all that it made', async () => {
    const x = parameter([1, 2, 3], 'x')
    const y = x.square().mul(2).sum()
    const before = findDevice('cpu').statistics().buffers
    await draw(y)
    expect(findDevice('cpu').statistics().buffers).toBe(before)
  })

  test('shows few elements in full and many by least, mean and largest', async () => {
    const x = parameter(
      [
        [1, 2],
        [3, 4],
      ],
      'x',
    )
    const wide = parameter([1, 2, 3, 4, 5, 6, 14], 'wide')
    const { svg } = await draw(x.sum().add(wide.sum()))
    expect(boxes(svg)).toContainEqual([
      'x',
      '[2, 2]',
      'value',
      '[[1. 2.]',
      ' [3. 4.]]',
      'gradient',
      '[[1. 1.]',
      ' [1. 1.]]',
    ])
    expect(boxes(svg)).toContainEqual([
      'wide',
      '[7]',
      'value',
      'min  1.',
      'mean 5.',
      'max  14.',
      'gradient',
      'min  1.',
      'mean 1.',
      'max  1.',
    ])
  })

  test('shows constants and integers without a gradient', async () => {
    const table = parameter(
      [
        [1, 2],
        [3, 4],
      ],
      'table',
    )
    const rows = tensor([1, 0], { dtype: 'int32' })
    rows.label = 'rows'
    const { svg } = await draw(table.embedding(rows).mul(3).sum())
    expect(boxes(svg)).toContainEqual(['rows', '[2]', 'value', '[1 0]'])
    expect(boxes(svg)).toContainEqual(['constant', '[]', 'value', '3.0'])
  })

  test('of more than one element shows the gradients that leaves hold', async () => {
    const x = parameter([1, 2], 'x')
    const y = x.mul(5)
    expect(boxes((await draw(y)).svg)).toContainEqual(['x', '[2]', 'value', '[1. 2.]'])
    x.sum().backward()
    const found = boxes((await draw(y)).svg)
    expect(found).toContainEqual(['x', '[2]', 'value', '[1. 2.]', 'gradient', '[1. 1.]'])
    expect(found).toContainEqual(['[2]', 'value', '[ 5. 10.]'])
  })

  test('of a leaf is one box', async () => {
    expect(boxes((await draw(parameter(3, 'x'))).svg)).toEqual([['x', '[]', 'value', '3.0', 'gradient', '1.0']])
    expect(boxes((await draw(tensor([]))).svg)).toEqual([['[0]', 'value', '[]']])
  })

  test('shows what is left of a graph that was freed', async () => {
    const x = parameter(3, 'x')
    const y = scope(() => x.square().exp())
    const found = boxes((await draw(y)).svg)
    expect(found).toContainEqual(['[]', 'value', 'disposed'])
    y.dispose()
    await expect(draw(y)).rejects.toThrow(/was used after it was disposed/)
  })

  test('refuses a graph over the limit, with the count that would do', async () => {
    let y = parameter(1, 'x')
    for (let i = 0; i < 100; i++) y = y.add(y)
    await expect(draw(y)).rejects.toThrow(
      /draw: the graph has 201 boxes and ellipses, more than the limit of 200; .*raise the limit: draw\(y, \{ limit: 201 \}\)/,
    )
    expect(boxes((await draw(y, { limit: 201 })).svg)).toHaveLength(101)
    await expect(draw(3 as unknown as Tensor)).rejects.toThrow('draw: expected a tensor, got number')
  })

  test('draws attention', async () => {
    const [q, k, v] = ['q', 'k', 'v'].map((label) => {
      // Where nothing is fused: the drawing shows the composition.
      const t = randn([1, 3, 2, 4], { requiresGrad: true, device: 'reference' })
      t.label = label
      return t
    })
    const { svg } = await draw(attention(q, k, v, { causal: true }).square().mean())
    expect(boxes(svg).map(([head]) => head)).toEqual(expect.arrayContaining(['q', 'k', 'v']))
    expect(parseSvg(svg)).toContain('softmax')
  })
})

describe('text', () => {
  const special = fc.constantFrom(...'"\\<>&{}| \'\n\r\0', '\ud800', '\udfff', '\ufffe', '\uffff', '左', '😀')
  const unit = fc.oneof(special, fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }))
  const texts = fc.string({ unit, maxLength: 30 })
  const drawings = fc.record({ label: texts, name: texts, line: texts }).map(({ label, name, line }) => ({
    items: [
      { kind: 'parameter' as const, label, shape: '[]', value: [line], gradient: [line, line] },
      { kind: 'operation' as const, name },
    ],
    edges: [[0, 1]] as const,
  }))

  test('of any kind leaves the SVG well formed', () => {
    fc.assert(
      fc.property(drawings, (drawing) => {
        const svg = toSvg(drawing)
        const shown = parseSvg(svg)
        expect(shown.filter((text) => text === 'value')).not.toHaveLength(0)
        // Characters that XML 1.0 does not know, and halves of surrogate pairs, which UTF-8 cannot hold.
        const codes = [...svg].map((character) => character.charCodeAt(0))
        expect(codes.filter((code) => (code < 32 && ![9, 10, 13].includes(code)) || code >= 0xfffe)).toEqual([])
        expect(Buffer.from(svg, 'utf8').toString('utf8')).toBe(svg)
      }),
      { numRuns: 300 },
    )
  })

  test('of any kind leaves the DOT well formed', () => {
    fc.assert(
      fc.property(drawings, (drawing) => {
        const label = /label="((?:[^"\\]|\\[\s\S])*)"\]/g
        const labels = [...toDot(drawing).matchAll(label)].map((match) => match[1])
        expect(labels).toHaveLength(2)
        // Without what is escaped, only the record's own structure is left.
        const structure = labels[0].replace(/\\[\s\S]/g, '').replace(/[^{}|<>]/g, '')
        expect(structure).toBe('{|{|}}')
        expect(toDot(drawing).replace(label, '')).not.toContain('"')
      }),
      { numRuns: 300 },
    )
  })

  test('long labels are clipped', async () => {
    const x = parameter(1, 'x'.repeat(500))
    const { svg } = await draw(x.exp())
    expect(parseSvg(svg)).toContain(`${'x'.repeat(39)}…`)
  })
})

describe('layout', () => {
  const gaps = { x: 20, y: 10, margin: 15 }
  const graphs = fc
    .array(fc.record({ width: fc.integer({ min: 5, max: 200 }), height: fc.integer({ min: 5, max: 90 }) }), {
      minLength: 1,
      maxLength: 25,
    })
    .chain((sizes) =>
      fc.record({
        sizes: fc.constant(sizes),
        edges: fc
          .array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 40 })
          .map((pairs) =>
            pairs
              .map(([a, b]) => [a % sizes.length, b % sizes.length].sort((i, j) => i - j) as [number, number])
              .filter(([from, to]) => from !== to),
          ),
      }),
    )

  /** Positions are sums of at most a few hundred sizes: rounding stays far below this. */
  const SLACK = 1e-6

  test('keeps boxes apart and inside, and runs edges forward', () => {
    fc.assert(
      fc.property(graphs, ({ sizes, edges }) => {
        const { centres, width, height } = layered(sizes, edges, gaps)
        const rects = sizes.map((size, i) => ({
          left: centres[i].x - size.width / 2,
          right: centres[i].x + size.width / 2,
          top: centres[i].y - size.height / 2,
          bottom: centres[i].y + size.height / 2,
        }))
        rects.forEach((a, i) => {
          expect(Math.min(a.left, a.top)).toBeGreaterThanOrEqual(gaps.margin - SLACK)
          expect(a.right).toBeLessThanOrEqual(width - gaps.margin + SLACK)
          expect(a.bottom).toBeLessThanOrEqual(height - gaps.margin + SLACK)
          for (const b of rects.slice(0, i)) {
            const apart =
              Math.max(b.left - a.right, a.left - b.right) >= gaps.x - SLACK ||
              Math.max(b.top - a.bottom, a.top - b.bottom) >= gaps.y - SLACK
            expect(apart).toBe(true)
          }
        })
        for (const [from, to] of edges)
          expect(rects[to].left).toBeGreaterThanOrEqual(rects[from].right + gaps.x - SLACK)
      }),
      { numRuns: 300 },
    )
  })

  const lowBox = [
    { width: 11, height: 28 },
    { width: 16, height: 11 },
    { width: 94, height: 8 },
  ]

  test('leads edges from box to box without touching another', () => {
    fc.assert(
      fc.property(graphs, ({ sizes, edges }) => {
        const { centres, routes } = layered(sizes, edges, gaps)
        routes.forEach((route, e) => {
          const [from, to] = edges[e]
          expect(route[0].x).toBeCloseTo(centres[from].x + sizes[from].width / 2, 6)
          expect(route[route.length - 1].x).toBeCloseTo(centres[to].x - sizes[to].width / 2, 6)
          for (let i = 1; i < route.length; i++) {
            const [a, b] = [route[i - 1], route[i]]
            expect(b.x).toBeGreaterThanOrEqual(a.x - SLACK)
            // The piece lies in the rectangle of its ends, straight or bent.
            const [top, bottom] = [Math.min(a.y, b.y), Math.max(a.y, b.y)]
            const hit = sizes.findIndex(
              ({ width, height }, v) =>
                v !== from &&
                v !== to &&
                b.x > centres[v].x - width / 2 + SLACK &&
                a.x < centres[v].x + width / 2 - SLACK &&
                bottom > centres[v].y - height / 2 + SLACK &&
                top < centres[v].y + height / 2 - SLACK,
            )
            expect(hit).toBe(-1)
          }
        })
      }),
      {
        numRuns: 300,
        // A regression: five twins of a box 11 high ran into the wide box beside it.
        examples: [
          [
            {
              sizes: lowBox,
              edges: [
                [0, 1],
                [0, 1],
                [0, 2],
                [0, 1],
                [0, 1],
                [0, 1],
              ],
            },
          ],
        ],
      },
    )
  })

  test('sets twins side by side', () => {
    const size = { width: 20, height: 40 }
    const { routes } = layered(
      [size, size],
      [
        [0, 1],
        [0, 1],
      ],
      gaps,
    )
    expect(routes[0][0].y).toBe(routes[1][0].y - 8)
  })

  test('draws a tree without crossings', () => {
    // Two chains whose boxes were listed crosswise.
    const size = { width: 20, height: 20 }
    const edges: [number, number][] = [
      [0, 3],
      [1, 2],
      [3, 4],
      [2, 5],
    ]
    const { centres } = layered(new Array(6).fill(size), edges, gaps)
    const order = (i: number, j: number) => Math.sign(centres[i].y - centres[j].y)
    expect(order(3, 2)).toBe(order(0, 1))
    expect(order(4, 5)).toBe(order(0, 1))
  })
})
