/**
 * `vanitypool dispense`: takes addresses from the running server, or from the store when none runs,
 * as JSON lines with their secret keys on standard output, or as keypair files. Each is handed out
 * this once, so what can go wrong with the files is looked for before anything is taken.
 */
import { VanityError } from '../errors.ts';
import type { Dispensed, DispensedAddress } from '../http/schemas.ts';
import { addressOf, decodeBase58 } from '../keypair/address.ts';
import { makeKeyDirectory, writeKeypairFile } from '../keypair/key-file.ts';
import { proveKeypair, SEED_BYTES } from '../keypair/keypair.ts';
import type { ReadyAddress } from '../pool/ready-queue.ts';
import { onePositional, readArguments } from './arguments.ts';
import { readWhole } from './options.ts';
import { askOrLook, assertPlace, PLACE_OPTIONS } from './or-store.ts';

/** The most that the server hands out at once. */
const COUNT_MAX = 1000;

export async function dispense(args: string[]): Promise<number> {
  const { values, positionals } = readArguments(args, {
    command: 'dispense',
    allowPositionals: true,
    options: {
      count: { type: 'string' },
      ...PLACE_OPTIONS,
      out: { type: 'string' },
      json: { type: 'boolean' },
    },
  });
  const { out, json = false } = values;
  const pool = onePositional('dispense', 'pool', positionals);
  assertPlace(values);
  const count = readWhole('--count', values.count, 1, COUNT_MAX);
  if (out !== undefined) makeKeyDirectory(out);
  const path = `/v1/pools/${encodeURIComponent(pool)}/dispense`;
  const { addresses } = await askOrLook<Dispensed>(
    values,
    (server) => server.ask('POST', path, 'addresses', { count }),
    async (config) => {
      const { dispenseOffline } = await import('../offline.ts');
      return { addresses: (await dispenseOffline(config, pool, count)).map(asDispensed) };
    },
  );
  if (out === undefined) {
    for (const address of addresses) process.stdout.write(`${JSON.stringify(address)}\n`);
    return 0;
  }
  writeFiles(out, addresses, json);
  return 0;
}

export function asDispensed({
  id,
  address,
  secret,
  origin,
  createdAt,
}: ReadyAddress): DispensedAddress {
  const time = new Date(createdAt).toISOString();
  return { id, address, keyType: 'seed', secretKey: secret, origin, createdAt: time };
}

/** All that can be written are: an error for one must not lose the others. */
export function writeFiles(
  directory: string,
  addresses: readonly DispensedAddress[],
  json: boolean,
): void {
  const lost: string[] = [];
  for (const { id, address, secretKey } of addresses) {
    try {
      if (secretKey === undefined) {
        throw new VanityError(
          'HANDOUT_MISMATCH',
          'its pool is sign-only: the secret does not leave',
        );
      }
      const keypair = decodeBase58(secretKey);
      if (!proveKeypair(keypair) || addressOf(keypair.subarray(SEED_BYTES)) !== address) {
        throw new VanityError('INTERNAL', 'the server sent another key than that of the address');
      }
      const path = writeKeypairFile(directory, keypair);
      process.stdout.write(json ? `${JSON.stringify({ id, address, path })}\n` : `${address}\n`);
    } catch (error) {
      lost.push(`address ${id}: ${(error as Error).message}`);
    }
  }
  if (lost.length === 0) return;
  const message = `${lost.length} of ${addresses.length} were handed out and not written: ${lost[0]}`;
  throw new VanityError('FILE_NOT_WRITABLE', message);
}
