/**
 * A process that moves the store in a directory to PostgreSQL and is killed by itself, for tests: `node
 * moving-process.ts DIRECTORY URL WHEN`, which is a step, or how much is done, as '0.5'. It ends with 0 if it is not.
 */
import { join } from 'node:path';
import { migrateOffline } from '../../src/offline/migrate.ts';
import { configOf } from './moving-store.ts';

const [directory = '', to = '', when = ''] = process.argv.slice(2);
const kill = () => process.kill(process.pid, 'SIGKILL');
const sealingKey = `file:${join(directory, 'sealing.key')}`;
await migrateOffline(configOf({ directory, sealingKey }), {
  to,
  onStep: (step) => {
    if (step === when) kill();
  },
  onProgress: (done, total) => {
    if (done / total >= Number(when)) kill();
  },
});
