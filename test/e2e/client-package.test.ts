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
const client = new VanitypoolClient({ url: 'http://127.0.0.1:9', retries: 0 });
client.dispense('pet', { count: 2 }).catch((error) => {
  if (Same === VanitypoolClient && error instanceof VanitypoolError && error.code === 'UNREACHABLE') console.log('as documented');
});
export const secretOf = (mint: DispensedAddress): string | undefined => mint.secretKey;
// @ts-expect-error There is no such field: types are not any.
export const noneOf = (mint: DispensedAddress): string => mint.privateKey;
`;

test('the packed client runs and is typed without anything else', { timeout: 90_000 }, async () => {
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
      readdirSync(join(installed, 'build', 'client')).filter(
        (name) => !/\.(js|d\.ts|js\.map)$/.test(name),
      ),
      [],
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
    assert.equal(said, 'as documented\n');
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});
