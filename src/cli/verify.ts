/**
 * `vanitypool verify`: proves key files, one line for each on standard output. Nothing is asked, nothing
 * is changed, and no secret is shown.
 */
import { VanityError } from '../errors.ts';
import { readKeyFile } from '../keypair/key-file.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { assertFiles } from './options.ts';
import type { Outputs } from './output.ts';

const FAILED = 1;

export async function verify(args: string[], { print }: Outputs): Promise<number> {
  const { values, positionals: files } = readArguments(args, {
    command: 'verify',
    allowPositionals: true,
    options: OPTIONS.verify,
  });
  assertFiles('verify', files);
  let code = 0;
  for (const file of files) {
    const found = look(file);
    if (!found.ok) code = FAILED;
    const line = found.ok ? `ok   ${found.address}  ${file}` : `bad  ${found.reason}`;
    await print(`${values.json ? JSON.stringify({ file, ...found }) : line}\n`);
  }
  return code;
}

function look(file: string) {
  try {
    const { address, keyType, key } = readKeyFile(file);
    key.fill(0);
    return { ok: true, address, keyType } as const;
  } catch (error) {
    if (!(error instanceof VanityError)) throw error;
    return { ok: false, reason: error.message } as const;
  }
}
