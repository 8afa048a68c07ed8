/**
 * The client as its users get it: packed, put into another program's node_modules, run by Node.js
 * (which strips no types there) and checked by the compiler with nothing else beside it. No command is offered that does not start.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildClient } from '../../tools/build-client.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const PROGRAM = `
import { VanitypoolClient as Same } from 'vanitypool';
import { VanitypoolClient, VanitypoolError, type DispensedAddress } from 'vanitypool/client';
import { createExpandedSigner, createRemoteSigner, type SolanaSigner } from 'vanitypool/client/solana';
const client = new VanitypoolClient({ url: 'http://127.0.0.1:9', retries: 0 });
client.dispense('pet', { count: 2 }).catch((error) => {
  if (Same === VanitypoolClient && error instanceof VanitypoolError && error.code === 'UNREACHABLE') console.log('as documented');
});
const address = '1'.repeat(32);
const signer: SolanaSigner = createRemoteSigner({ client, pool: 'pet', address });
console.log(signer.address === address);
// Without the package that it needs.
createExpandedSigner({ expandedKey: new Uint8Array(64), address }).catch((error) => {
  if (error instanceof VanitypoolError) console.log(error.message);
});
export const secretOf = (mint: DispensedAddress): string | undefined => mint.secretKey;
// @ts-expect-error There is no such field: types are not any.
export const noneOf = (mint: DispensedAddress): string => mint.privateKey;
// @ts-expect-error Nor are those of signers.
export const secretOfSigner = signer.secretKey;
`;

test('the packed client runs and is typed without anything else', {
  timeout: 300_000,
}, async () => {
  const place = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  try {
    assert.ok(await buildClient());
    const npm = ['pack', '--silent', '--ignore-scripts', '--pack-destination', place];
    execFileSync('npm', npm, { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
    const [archive] = readdirSync(place);
    const installed = join(place, 'node_modules', 'vanitypool');
    mkdirSync(installed, { recursive: true });
    execFileSync('tar', ['-xzf', join(place, archive!), '--strip-components=1', '-C', installed]);
    assert.deepEqual(
      readdirSync(join(installed, 'build', 'client'), { recursive: true }).filter(
        (name) => !/\.(js|d\.ts|js\.map)$/.test(String(name)),
      ),
      ['solana'],
    );

    writeFileSync(join(place, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(place, 'program.ts'), PROGRAM);
    for (const resolution of ['nodenext', 'bundler']) {
      const module = resolution === 'bundler' ? 'esnext' : resolution;
      const flags = ['--strict', '--noEmit', '--lib', 'es2022,dom', '--types', ''];
      const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
      const args = [...flags, '--module', module, '--moduleResolution', resolution, 'program.ts'];
      execFileSync(tsc, args, { cwd: place, stdio: 'inherit' });
    }
    const said = execFileSync(process.execPath, ['program.ts'], { cwd: place, encoding: 'utf8' });
    assert.deepEqual(said.split('\n').toSorted(), [
      '',
      'CRYPTO_UNAVAILABLE: expanded keys need the package libsodium-wrappers-sumo, of version 0.8',
      'as documented',
      'true',
    ]);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});
