/**
 * The rotation of the sealing key is killed after each of its steps: the next start finds the key that
 * the store needs, under its name, and nothing is lost. A rotation after that is as any other. So are the
 * steps in which rows are resealed: they go on.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RotationStep } from '../../src/store/key-rotation.ts';
import { Leaked } from '../support/leaked.ts';
import { countLeft, sealedIn } from '../support/sealed-bytes.ts';
import { returnLease, turn } from '../support/turns.ts';
import { Victim } from '../support/victim.ts';

const LIMIT = { timeout: 300_000 };
const PROCESS = fileURLToPath(new URL('../support/rotating-process.ts', import.meta.url));

const STEPS: Readonly<Record<RotationStep | 'prepared', boolean>> = {
  'old key kept': false,
  'new key': false,
  prepared: false,
  'store sealed': true,
  named: true,
};

for (const [step, isRotated] of Object.entries(STEPS)) {
  test(`killed after the step "${step}"`, LIMIT, async () => {
    await using victim = await Victim.make();
    const { directory } = victim;
    const path = join(directory, 'sealing.key');
    const before = readFileSync(path, 'latin1');
    await victim.store.close();
    await killedAfter(step, directory);

    // A start takes the key that is recorded, and gives it its name.
    await victim.open();
    const after = readFileSync(path, 'latin1');
    assert.equal(after !== before, isRotated);
    await assertWhole(victim);
    if (isRotated) {
      const kept = readdirSync(directory).filter((name) =>
        /^sealing\.key\.[0-9a-f]{16}$/.test(name),
      );
      assert.deepEqual(
        kept.map((name) => readFileSync(join(directory, name), 'latin1')),
        [before],
      );
      assert.ok(!existsSync(`${path}.new`));
    }

    await (await victim.store.beginRotation()).finish();
    assert.notEqual(readFileSync(path, 'latin1'), after);
    assert.ok(!existsSync(`${path}.new`));
    await assertWhole(victim);
    await victim.store.close();
    await victim.open();
    await assertWhole(victim);
    assert.deepEqual([victim.forged, victim.bound], [[], []]);
  });
}

for (const step of ['prepared', 'store sealed', '1', '3']) {
  test(`with rows resealed, killed after the step "${step}"`, LIMIT, async () => {
    await using leaked = await Leaked.make();
    const { directory } = leaked;
    await returnLease(leaked.store, 'pet');
    const before = await leaked.rows();
    const sealed = sealedIn(directory);
    await leaked.store.close();
    await killedAfter(step, directory, 'reseal');

    // As it lies there, once the new key has its name.
    const isBegun = step !== 'prepared';
    if (isBegun && step !== 'store sealed') assert.deepEqual(await leaked.rows(), before);
    await leaked.open();
    assert.deepEqual(await leaked.rows(), before);
    assert.equal((await leaked.store.sealingKey()).toReseal > 0, isBegun);
    if (!isBegun) await leaked.rotate();
    await leaked.reseal();
    assert.deepEqual(await leaked.rows(), before);
    assert.equal(countLeft(directory, sealed), 0, 'of what was sealed before');
    await leaked.rotate();
    await leaked.reseal();
    assert.deepEqual(await leaked.rows(), before);
  });
}

async function killedAfter(step: string, directory: string, ...how: string[]): Promise<void> {
  const args = [PROCESS, directory, step, ...how];
  const child = spawn(process.execPath, args, { stdio: 'inherit' });
  const [, signal] = await once(child, 'exit');
  assert.equal(signal, 'SIGKILL');
}

/** The token is valid, and every address of the pool that is available can be unsealed. */
async function assertWhole(victim: Victim): Promise<void> {
  assert.deepEqual(await victim.tokens(), { shop: true });
  const { store } = victim;
  const { leased, burned } = await turn(store, 'vault', 0, 10);
  assert.deepEqual([leased.length, burned], [3, 0]);
  await returnLease(store, 'vault');
}
