import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { dashboardFiles } from '../../src/http/dashboard-files.ts';

test('the page and its modules, small, with what the client needs and nothing else', () => {
  const files = dashboardFiles();
  const paths = files.map(({ path }) => path);
  for (const path of ['/', '/dashboard/dashboard/page.css', '/dashboard/dashboard/main.js']) {
    assert.ok(paths.includes(path), path);
  }
  assert.deepEqual(
    paths.filter((path) => !/^\/$|\.(js|css|svg)$/.test(path)),
    [],
  );
  const bytes = gzipSync(Buffer.concat(files.map(({ body }) => body))).length;
  assert.ok(bytes < 100_000, `${bytes} bytes`);
  for (const { path, body } of files.filter(({ path }) => path.endsWith('.js'))) {
    for (const [, from] of body.toString().matchAll(/from '([^']+)'/g)) {
      const url = new URL(from!, `http://localhost${path}`);
      assert.ok(paths.includes(url.pathname), `${path} imports ${from}`);
    }
  }
});

test('where it could not be built there are no files', () => {
  assert.deepEqual(dashboardFiles(join(tmpdir(), 'none')), []);
});
