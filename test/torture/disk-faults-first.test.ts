/**
 * The start of a store that is not there yet, on a disk of which this or that fails
 * (test/support/disk-weather.ts): it works, or ends with a code that says so; and on a sound disk the
 * next one works, whatever the first has left half made.
 *
 * FIRST_STARTS sets how many are tried (3), FAULTS_SEED draws their faults again. A failure prints its
 * seed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertFailureOfDisk, drawBlows, strike, wordsOf } from '../support/disk-weather.ts';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { randomOf } from '../support/sequence.ts';
import { EASY_POOL, Server, Workspace } from '../support/server.ts';

const STARTS = Number(process.env.FIRST_STARTS ?? 3);
const SEED = Number(process.env.FAULTS_SEED ?? Date.now() % 2 ** 31);

type Random = ReturnType<typeof randomOf>;

async function begin(random: Random): Promise<string> {
  await using workspace = new Workspace();
  using disk = new FaultyDisk(workspace.path, workspace.data);
  workspace.environment = disk.environment;
  workspace.configure([EASY_POOL], '[store]', 'journal = "data"');
  const { data, state } = workspace;
  const blows = drawBlows(random);
  const words = wordsOf(blows);
  const paths = { data, state, memory: workspace.path };
  for (const [number, blow] of blows.entries()) strike(disk, paths, blow, number);
  const isUp = await startedIn(workspace);
  disk.heal();
  const server = await workspace.serve().catch((error: Error) => assert.fail(`${words}: ${error}`));
  await server.until(({ ready }) => ready > 0);
  assert.equal((await server.dispense()).length, 1);
  assert.equal((await server.pool()).burned, 0, words);
  assert.equal(await server.kill('SIGTERM'), 0, server.output);
  return `${words}: ${isUp ? 'it went on' : 'it was refused'}`;
}

/** Whether it does, before it is killed. */
async function startedIn(workspace: Workspace): Promise<boolean> {
  const server = new Server(workspace, []);
  const isUp = await server.listening.then(
    () => true,
    () => false,
  );
  await server.kill('SIGKILL');
  // The key that a store is sealed with is made then.
  if (!isUp) assertFailureOfDisk(server, 'SEALING_KEY_INVALID');
  return isUp;
}

test('a first start on a disk that fails', { timeout: (60 + STARTS * 30) * 1000 }, async (t) => {
  t.diagnostic(`FAULTS_SEED=${SEED}`);
  const random = randomOf(SEED);
  for (let left = STARTS; left > 0; left--) t.diagnostic(await begin(random));
});
