/** The TypeScript of docs/http-api.md and docs/solana.md, each block of it, is what the compiler takes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BUILD = join(ROOT, 'build');

/** What the documents leave to their reader. */
const GIVEN = `
import type { VanitypoolClient } from '../../src/client/client.ts';
import type { SolanaSigner } from '../../src/client/solana/solana.ts';
declare global {
  const client: VanitypoolClient;
  const signer: SolanaSigner;
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

function blocksOf(document: string): string[] {
  const text = readFileSync(join(ROOT, 'docs', document), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block!);
}

test('the TypeScript of the documents has no mistakes, and one would be found', () => {
  const [api, solana] = [blocksOf('http-api.md'), blocksOf('solana.md')];
  assert.ok(api.length >= 11 && solana.length >= 5, `${api.length} and ${solana.length} blocks`);
  assert.equal(compile([...api, ...solana]), '');
  assert.match(compile(["await client.dispense('pet', { cuont: 1 });"]), /block-1\.ts\(1,\d+\)/);
});
