/** The commands of a document: its `console` blocks, each command with what is shown after it. */
import assert from 'node:assert/strict';

export interface DocumentedCommand {
  /** As it is typed, without the `$` in front. */
  readonly command: string;
  /** The lines after it, up to the next command. */
  readonly shown: string;
}

/** By block, in order. */
export function blocksOf(document: string): DocumentedCommand[][] {
  assert.doesNotMatch(document, /^ *```(sh|bash|shell)\b/m, 'commands stand in `console` blocks');
  return [...document.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block]) =>
    block!
      .split(/^\$ /m)
      .filter((part) => part.trim() !== '')
      .map((part) => {
        const [, command = '', shown = ''] = /^((?:.*\\\n)*.*)\n?([\s\S]*)$/.exec(part)!;
        return { command, shown: shown.trim() };
      }),
  );
}

/** Names of fields, of the first of each list, in the order in which they are documented. */
export function fieldsOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(fieldsOf);
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value).map(([key, member]) => [key, fieldsOf(member)]);
}

/** Each line that is shown was said: the words, not the figures, names of files and spaces. */
export function assertSaid(output: string, { command, shown }: DocumentedCommand): void {
  const said = output.split(/\r?\n/);
  for (const line of shown.split('\n').filter((text) => !/^(\.\.\.)?$/.test(text.trim()))) {
    if (line.startsWith('{')) {
      const reply = said.find((text) => text.startsWith('{'));
      assert.ok(reply !== undefined, `${command}: no JSON in ${output}`);
      assert.deepEqual(fieldsOf(JSON.parse(reply)), fieldsOf(JSON.parse(line)), command);
    } else {
      const words = line
        .replace(/<[^>]*>/g, '<>')
        .trim()
        .split(/\s+/)
        .map(patternOf);
      const pattern = new RegExp(`^${words.join('\\s+')}$`);
      assert.ok(
        said.some((text) => pattern.test(text.trim())),
        `${command}: ${line}\nin ${output}`,
      );
    }
  }
}

function patternOf(word: string): string {
  if (/[\d/<>]|\.\.\./.test(word)) return '\\S+';
  return word.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
