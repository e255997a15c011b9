export function promised(text: string): string[]
export function fencedBlocks(
  markdown: string,
  languages: readonly string[],
): { language: string; text: string; line: number }[]
export function withoutTypes(text: string): string
export function printedLines(output: string): string[]
export function runExample(text: string, modules: Readonly<Record<string, object>>): Promise<string[]>
