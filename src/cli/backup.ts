/**
 * `vanitypool backup`: the store as one file, while a server runs or not, or of a server elsewhere. SIGINT, SIGTERM and SIGHUP end it
 * with 130, and leave nothing. A second one exits at once, and may leave a `.partial` file.
 */
import { statSync } from 'node:fs';
import { type BackupOptions, backupOffline, keepBackup, neededKey } from '../offline/copies.ts';
import { onePositional, readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { CopyProgress } from './copy-progress.ts';
import { INTERRUPTED, interruptible } from './options.ts';
import { assertPlace, configAt } from './or-store.ts';
import type { Outputs } from './output.ts';
import { ServerClient } from './server-client.ts';

export async function backup(args: string[], outputs: Outputs): Promise<number> {
  const { values, positionals } = readArguments(args, {
    command: 'backup',
    allowPositionals: true,
    options: OPTIONS.backup,
  });
  const file = onePositional('backup', 'file', positionals);
  assertPlace(values);
  if (values.url !== undefined) return fetchBackup(values.url, file, outputs);
  const config = configAt(values);
  const code = await withProgress(outputs, (options) => backupOffline(config, file, options));
  if (code !== 0) return code;
  await told(file, outputs);
  const { sealingKey, directory } = config.store;
  outputs.stderr.write(
    `The sealing key is not in it, and without that key nothing in it can be read: keep a copy of\n` +
      `${sealingKey.replace(/^file:/, '')} in another place than ${directory} and this file.\n`,
  );
  return 0;
}

/** Made, checked and sent by the server at `url`; its bytes are proved again here. */
async function fetchBackup(url: string, file: string, outputs: Outputs): Promise<number> {
  const server = new ServerClient(url);
  const code = await withProgress(outputs, async ({ signal, onProgress }) => {
    let size = 0;
    let kept = 0;
    const onSize = (bytes: number) => {
      size = bytes;
    };
    const pieces = async function* () {
      for await (const piece of server.backup({ signal, onSize })) {
        yield piece;
        kept += piece.length;
        onProgress(kept, size);
      }
    };
    await keepBackup(pieces(), file, signal);
  });
  if (code !== 0) return code;
  await told(file, outputs);
  outputs.stderr.write('The sealing key is not in it: keep a copy of that in another place.\n');
  return 0;
}

/** The exit code: 0, or that of a signal. */
async function withProgress(
  { stderr }: Outputs,
  work: (options: Required<BackupOptions>) => Promise<void>,
): Promise<number> {
  using interrupt = interruptible();
  const { signal } = interrupt;
  const progress = new CopyProgress(stderr);
  try {
    await work({ signal, onProgress: (done, total) => progress.at(done, total) });
    return 0;
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    throw error;
  } finally {
    progress.end();
  }
}

async function told(file: string, { print, stderr }: Outputs): Promise<void> {
  await print(`${file}: ${statSync(file).size} bytes, checked\n`);
  const id = neededKey(file);
  if (id !== undefined) stderr.write(`It needs the sealing key with the id ${id}.\n`);
}
