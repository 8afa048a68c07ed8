/**
 * `vanitypool verify`: proves keys in files, folders and standard input, one line for each on standard output. Nothing is
 * asked, nothing is changed, and no secret is shown.
 */
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { type Found, keysOf, ofNamedFile } from './key-sources.ts';
import { assertFiles } from './options.ts';
import type { Outputs } from './output.ts';

const FAILED = 1;

export async function verify(args: string[], { print }: Outputs): Promise<number> {
  const { values, positionals: sources } = readArguments(args, {
    command: 'verify',
    allowPositionals: true,
    options: OPTIONS.verify,
  });
  assertFiles('verify', sources);
  let code = 0;
  for await (const found of keysOf(sources)) {
    const { key } = found;
    const reason = found.reason ?? ofNamedFile(found);
    key?.key.fill(0);
    if (reason !== undefined) code = FAILED;
    await print(`${values.json ? asJson(found, reason) : asLine(found, reason)}\n`);
  }
  return code;
}

function asJson({ file, line, key }: Found, reason: string | undefined): string {
  const proved = { address: key?.address, keyType: key?.keyType };
  const more = reason === undefined ? proved : { reason };
  return JSON.stringify({ file, line, ok: reason === undefined, ...more });
}

function asLine({ where, key }: Found, reason: string | undefined): string {
  return reason === undefined ? `ok   ${key!.address}  ${where}` : `bad  ${where}: ${reason}`;
}
