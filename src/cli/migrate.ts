/**
 * `vanitypool migrate`: moves the store of a data directory into PostgreSQL. No server may hold it. SIGINT, SIGTERM and
 * SIGHUP end it with 130 and leave the store where it is, until all of it is copied; a second one exits at once. What
 * ends it at any moment is made good by the same command.
 */
import { migrateOffline } from '../offline/migrate.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { CopyProgress } from './copy-progress.ts';
import { usageOf } from './help.ts';
import { INTERRUPTED, interruptible, usage } from './options.ts';
import { configAt } from './or-store.ts';
import type { Outputs } from './output.ts';

export async function migrate(args: string[], { print, stderr }: Outputs): Promise<number> {
  const { values } = readArguments(args, { command: 'migrate', options: OPTIONS.migrate });
  const { to } = values;
  if (to === undefined) throw usage(`migrate: where to? ${usageOf('migrate')}`);
  const config = configAt(values);
  const { directory, data } = config.store;
  const progress = new CopyProgress(stderr, 'moved');
  using interrupt = interruptible();
  const { signal } = interrupt;
  const onProgress = (done: number, total: number) => progress.at(done, total);
  try {
    const { url, name, addresses } = await migrateOffline(config, { to, signal, onProgress });
    progress.end();
    if (addresses === undefined) await print(`${directory} was moved to ${name} before\n`);
    else await print(`moved ${directory} to ${name}, and compared all of it\n`);
    for (const [pool, count] of Object.entries(addresses ?? {})) {
      await print(`pool ${pool}: ${count} addresses\n`);
    }
    await print(
      `Put this into the configuration, and a password into PGPASSWORD or ~/.pgpass:\n\n` +
        `[store]\nurl = ${JSON.stringify(url)}\ndata = ${JSON.stringify(data)}\n\n` +
        `${directory}/store.db is never served again. Back up the database, then delete it: it still\n` +
        'holds sealed secrets, which no retention destroys. Keep the directory and the sealing key.\n',
    );
    return 0;
  } catch (error) {
    progress.end();
    if (signal.aborted) return INTERRUPTED;
    throw error;
  }
}
