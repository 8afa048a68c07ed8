/**
 * `vanitypool dispense`: takes addresses from the running server, or from the store when none runs,
 * as JSON lines with their secret keys on standard output, or as keypair files. Foreseeable
 * failures are checked before anything is taken; any other error names the command that
 * gets the same addresses again.
 */
import { COUNT_MAX } from '../config/pool-settings.ts';
import { onePositional, readArguments } from './arguments.ts';
import { FILE_FORMATS, OPTIONS } from './command-options.ts';
import {
  again,
  type HandOut,
  printAddresses,
  readFormat,
  readKey,
  take,
  writeFiles,
} from './hand-out.ts';
import { prepareDirectory } from './key-directory.ts';
import { readWhole, sayIfInterrupted, usage } from './options.ts';
import { assertPlace } from './or-store.ts';
import type { Outputs } from './output.ts';

export async function dispense(args: string[], outputs: Outputs): Promise<number> {
  const { values, positionals } = readArguments(args, {
    command: 'dispense',
    allowPositionals: true,
    options: OPTIONS.dispense,
  });
  const { out, json = false } = values;
  const pool = onePositional('dispense', 'pool', positionals);
  assertPlace(values);
  const count = readWhole('--count', values.count, 1, COUNT_MAX);
  if (values.format !== undefined && out === undefined) {
    throw usage('--format: of files; give --out DIR too');
  }
  const format = readFormat(values.format, FILE_FORMATS);
  const handOut: HandOut = { pool, count, key: readKey(values.key), place: values, out, format };
  if (out !== undefined) prepareDirectory(out, count, outputs.stderr);
  using _interrupt = sayIfInterrupted(() => again(handOut));
  const addresses = await take(handOut, outputs);
  if (out === undefined) await printAddresses(handOut, addresses, outputs);
  else await writeFiles(handOut, addresses, json, outputs);
  return 0;
}
