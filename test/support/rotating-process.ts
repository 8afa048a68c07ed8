/**
 * A process that rotates the sealing key of the store in a directory and is killed by itself after a step,
 * for tests: `node rotating-process.ts DIRECTORY STEP [reseal]`. With `reseal` its rows are resealed, too,
 * and the number of a step of that is one as well. It ends with 0 if there is no such step.
 *
 * `node rotating-process.ts DIRECTORY STEP URL [follow]` is the same of a node of a database. One that follows is
 * given the key that another makes. Steps are also `made NAME`, of a file in which nothing is yet, and `rename NAME`.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';
import { nodeIn } from '../../src/store/postgres/node-file.ts';
import { openPostgresStore } from '../../src/store/postgres/open.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { UNHEARD } from './postgres-nodes.ts';

const [directory = '', last = '', how = '', role] = process.argv.slice(2);
const sealingKey = `file:${join(directory, 'sealing.key')}`;

function reached(step: string): void {
  if (step === last) process.kill(process.pid, 'SIGKILL');
}

async function opened(): Promise<Store> {
  if (!how.startsWith('postgres:')) {
    return openSqliteStore({ directory, sealingKey, create: false });
  }
  const [settings, node] = [connectionSettings(how, {}), nodeIn(directory)];
  const store = await openPostgresStore({ settings, node, sealingKey, data: directory });
  store.watch(UNHEARD);
  return store;
}

const { openSync, renameSync } = fs;
Object.assign(fs, {
  openSync: (...args: Parameters<typeof openSync>) => {
    const file = openSync(...args);
    if (args[1] === 'wx') reached(`made ${basename(String(args[0]))}`);
    return file;
  },
  renameSync: (...args: Parameters<typeof renameSync>) => {
    reached(`rename ${basename(String(args[0]))}`);
    renameSync(...args);
  },
});
syncBuiltinESMExports();

await using store = await opened();
if (role === 'follow') await new Promise(() => undefined);
const rotation = await store.beginRotation({ reseal: how === 'reseal', onStep: reached });
while (rotation.done < rotation.total) await rotation.prepare();
reached('prepared');
await rotation.handOver();
reached('handed over');
await rotation.finish();
for (let step = 1; (await store.reseal()) > 0; step++) reached(String(step));
