/**
 * A process that rotates the sealing key of the store in a directory and is killed by itself after a step,
 * for tests: `node rotating-process.ts DIRECTORY STEP [reseal]`. With `reseal` its rows are resealed, too,
 * and the number of a step of that is one as well. It ends with 0 if there is no such step.
 */
import { join } from 'node:path';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';

const [directory = '', last, how] = process.argv.slice(2);
const sealingKey = `file:${join(directory, 'sealing.key')}`;
await using store = await openSqliteStore({ directory, sealingKey, create: false });
const rotation = await store.beginRotation({
  reseal: how === 'reseal',
  onStep: (step) => {
    if (step === last) process.kill(process.pid, 'SIGKILL');
  },
});
if (last === 'prepared') {
  await rotation.prepare();
  process.kill(process.pid, 'SIGKILL');
}
await rotation.finish();
for (let step = 1; (await store.reseal()) > 0; step++) {
  if (String(step) === last) process.kill(process.pid, 'SIGKILL');
}
