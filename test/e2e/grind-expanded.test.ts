/** Expanded keys from the command line: they sign for the addresses that they are printed with. */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { EXPANDED_KEY_BYTES } from '../../src/keypair/expanded.ts';
import { vanitypool } from '../support/cli.ts';
import { signExpanded } from '../support/expanded-oracle.ts';

const LIMIT = { timeout: 300_000 };
const GRIND = ['grind', '--suffix', '[a-z]t', '--keys', 'expanded', '--json'];

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'vanitypool-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** The key, in base58, makes a signature that `node:crypto` verifies for the address. */
function assertSigns(address: string, expandedKey: string): void {
  const key = decodeBase58(expandedKey);
  assert.equal(key.length, EXPANDED_KEY_BYTES);
  const x = Buffer.from(decodeBase58(address)).toString('base64url');
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const message = Buffer.from(`mint ${address}`);
  assert.ok(verify(null, message, publicKey, signExpanded(key, message)));
}

test('grind --keys expanded --json --secrets prints keys that sign', LIMIT, async (t) => {
  const cwd = directory(t);
  const { code, lines, stderr } = await vanitypool([...GRIND, '--secrets', '--count', '5'], {
    cwd,
  });
  assert.equal(code, 0, stderr);
  assert.equal(lines.length, 5);
  for (const line of lines) {
    const { address, attempts, elapsedMs, expandedKey, ...others } = JSON.parse(line);
    assert.deepEqual(others, {});
    assert.match(address, /[a-z]t$/);
    assert.ok(attempts > 0 && elapsedMs >= 0);
    assertSigns(address, expandedKey);
    assert.ok(!stderr.includes(expandedKey) && !stderr.includes(address));
  }
  assert.deepEqual(readdirSync(cwd), []);
});

test(
  'grind --keys expanded writes files of its own kind and prints no secret',
  LIMIT,
  async (t) => {
    const cwd = directory(t);
    const { code, stdout, lines, stderr } = await vanitypool(GRIND, { cwd });
    assert.equal(code, 0, stderr);
    const { address, ...others } = JSON.parse(lines[0]!);
    assert.deepEqual(Object.keys(others), ['attempts', 'elapsedMs']);
    const name = `${address}.expanded.json`;
    assert.deepEqual(readdirSync(cwd), [name]);
    assert.equal(statSync(join(cwd, name)).mode & 0o777, 0o600);
    const { expandedKey } = JSON.parse(readFileSync(join(cwd, name), 'utf8'));
    assertSigns(address, expandedKey);
    assert.ok(!stdout.includes(expandedKey) && !stderr.includes(expandedKey));
  },
);
