/**
 * `vanitypool backup`: the store as one file, while a server runs or not. SIGINT and SIGTERM end it
 * with 130, and leave nothing. A second one exits at once, and may leave a `.partial` file.
 */
import { statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config.ts';
import { backupOffline } from '../offline.ts';
import { CopyProgress } from './copy-progress.ts';
import { INTERRUPTED, interruptible, oneFile } from './options.ts';

export async function backup(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { config: { type: 'string' }, data: { type: 'string' } },
  });
  const file = oneFile('backup', positionals);
  const flags = values.data === undefined ? {} : { 'store.url': `file:${values.data}` };
  const config = loadConfig({ flags, env: process.env, file: values.config });
  const signal = interruptible();
  const progress = new CopyProgress();
  try {
    await backupOffline(config, file, {
      signal,
      onProgress: (done, total) => progress.at(done, total),
    });
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    throw error;
  } finally {
    progress.end();
  }
  process.stdout.write(`${file}: ${statSync(file).size} bytes, checked\n`);
  const { sealingKey, directory } = config.store;
  process.stderr.write(
    `The sealing key is not in it, and without that key nothing in it can be read: keep a copy of\n` +
      `${sealingKey.replace(/^file:/, '')} in another place than ${directory} and this file.\n`,
  );
  return 0;
}
