import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { dashboardFiles } from '../../src/http/dashboard-files.ts';

test('the page, one script, one style and an icon, small, and no word of another host', () => {
  const files = new Map(dashboardFiles().map(({ path, ...file }) => [path, file]));
  const paths = ['/', '/dashboard/icon.svg', '/dashboard/main.js', '/dashboard/page.css'];
  assert.deepEqual([...files.keys()].sort(), paths);
  const sizes = [...files.values()].map(({ body }) => gzipSync(body).length);
  const bytes = sizes.reduce((sum, size) => sum + size);
  assert.ok(bytes < 100_000, `${bytes} bytes`);
  const page = files.get('/')!.body.toString();
  const named = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, name]) => name!);
  assert.deepEqual(named.map((name) => (name === 'docs' ? name : `/${name}`)).sort(), [
    ...paths.slice(1),
    'docs',
    'docs',
  ]);
  assert.doesNotMatch(page, /style=|<style|<script(?! type="module" src=)|\son\w+=/);
  for (const [path, { body }] of files) {
    const hosts =
      body
        .toString()
        .replace(/\/\*![\s\S]*?\*\//, '')
        .match(/https?:\/\/[\w.]+/g) ?? [];
    assert.deepEqual(new Set(hosts), new Set(path.endsWith('.svg') ? ['http://www.w3.org'] : []));
  }
  const script = files.get('/dashboard/main.js')!.body.toString();
  assert.match(script, /^\/\*! uplot\nThe MIT License/);
  assert.doesNotMatch(script, /localStorage|sessionStorage|indexedDB|document\.cookie|innerHTML/);
});

test('where it could not be built there are no files', () => {
  assert.deepEqual(dashboardFiles(join(tmpdir(), 'none')), []);
});
