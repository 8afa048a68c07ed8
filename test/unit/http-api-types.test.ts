/** The TypeScript of docs/http-api.md, each block of it, is what the compiler takes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BUILD = join(ROOT, 'build');

/** What the document leaves to its reader. */
const GIVEN = `
import type { VanitypoolClient } from '../../src/client/client.ts';
declare global {
  const client: VanitypoolClient;
  const signal: AbortSignal;
  const [address, secretKey, order]: [string, string, number];
  const since: Date;
  const transaction: { readonly messageBytes: Uint8Array };
  const wireTransaction: Uint8Array;
  function show(...what: unknown[]): void;
  function later(seconds: number | undefined): void;
}
`;
/** Readers who want errors for what may be missing have it by their own settings. */
const OPTIONS = { noUncheckedIndexedAccess: false, noUnusedLocals: false };

function compile(blocks: readonly string[]): string {
  mkdirSync(BUILD, { recursive: true });
  const place = mkdtempSync(join(BUILD, 'examples-'));
  try {
    const config = { extends: '../../tsconfig.json', compilerOptions: OPTIONS, include: ['*.ts'] };
    writeFileSync(join(place, 'tsconfig.json'), JSON.stringify(config));
    writeFileSync(join(place, 'given.ts'), GIVEN);
    for (const [index, block] of blocks.entries()) {
      writeFileSync(join(place, `block-${index + 1}.ts`), `${block}\nexport {};\n`);
    }
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    return spawnSync(process.execPath, [tsc, '-p', place], { encoding: 'utf8' }).stdout;
  } finally {
    rmSync(place, { recursive: true });
  }
}

test('the TypeScript of docs/http-api.md has no mistakes, and one would be found', () => {
  const text = readFileSync(join(ROOT, 'docs', 'http-api.md'), 'utf8');
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block!);
  assert.ok(blocks.length >= 11, `only ${blocks.length} blocks were found`);
  assert.equal(compile(blocks), '');
  assert.match(compile(["await client.dispense('pet', { cuont: 1 });"]), /block-1\.ts\(1,\d+\)/);
});
