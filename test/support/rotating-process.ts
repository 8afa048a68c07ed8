/**
 * A process that rotates the sealing key of the store in a directory and is killed by itself after a step,
 * for tests: `node rotating-process.ts DIRECTORY STEP`. It ends with 0 if there is no such step.
 */
import { join } from 'node:path';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';

const [directory = '', last] = process.argv.slice(2);
const sealingKey = `file:${join(directory, 'sealing.key')}`;
await using store = await openSqliteStore({ directory, sealingKey, create: false });
const rotation = await store.beginRotation({
  onStep: (step) => {
    if (step === last) process.kill(process.pid, 'SIGKILL');
  },
});
if (last === 'prepared') {
  await rotation.prepare();
  process.kill(process.pid, 'SIGKILL');
}
await rotation.finish();
