/** What the client is made anew for. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { clientSources } from '../../tools/build-client.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

test('every file that the client or its types come from counts', () => {
  const reached = new Set(globSync('src/client/**/*.ts', { cwd: ROOT }));
  for (const file of reached) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    for (const [, path] of text.matchAll(/from '(\.[^']*\.ts)'/g)) {
      reached.add(join(file, '..', path!));
    }
  }
  assert.ok(reached.has('src/api/grinder.ts'), 'imports are followed');
  const counted = new Set(clientSources());
  assert.deepEqual(
    [...reached].filter((file) => !counted.has(file)),
    [],
  );
});
