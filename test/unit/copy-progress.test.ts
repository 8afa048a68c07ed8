import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CopyProgress } from '../../src/cli/copy-progress.ts';

/** What is written for these many of 200 pages. */
function written(isTTY: boolean, pages: readonly number[]): string {
  let text = '';
  const write = (some: string) => {
    text += some;
  };
  const progress = new CopyProgress({ isTTY, columns: 0, write });
  for (const done of pages) progress.at(done, 200);
  progress.end();
  return text;
}

test('in a file there is a line for each tenth that is passed', () => {
  assert.equal(
    written(false, [1, 19, 20, 21, 50, 200]),
    'copied 0%\ncopied 10%\ncopied 20%\ncopied 100%\n',
  );
});

test('on a terminal one line is rewritten, and removed at the end', () => {
  const clear = '\r\x1b[K';
  assert.equal(written(true, [2, 3, 4]), `${clear}copied 1%${clear}copied 2%${clear}`);
  assert.equal(written(true, []), '');
});
