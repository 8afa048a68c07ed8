/**
 * `vanitypool export`: many addresses out of a pool, as keypair files. A hand-out, in batches: the
 * rows of a batch are dispensed on disk before its first file is written. A server in `leased` mode
 * answers a moment earlier, so it is asked what became of the batch. SIGINT and SIGTERM end it
 * between two batches, with 130.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../errors.ts';
import type { AddressView } from '../http/admin-schemas.ts';
import type { Dispensed } from '../http/schemas.ts';
import { makeKeyDirectory } from '../keypair/key-file.ts';
import { readArguments } from './arguments.ts';
import { asDispensed, writeFiles } from './dispense.ts';
import { INTERRUPTED, interruptible, readWhole, usage } from './options.ts';
import { askOrLook, assertPlace, PLACE_OPTIONS } from './or-store.ts';
import type { ServerClient } from './server-client.ts';

/** The most that the server hands out at once. */
const BATCH = 1000;
const COUNT_MAX = 1_000_000;
/** Turns record what left every 100 ms. */
const LOOK_MS = 50;

export async function exportKeys(args: string[]): Promise<number> {
  const { values } = readArguments(args, {
    command: 'export',
    options: {
      pool: { type: 'string' },
      count: { type: 'string' },
      out: { type: 'string' },
      ...PLACE_OPTIONS,
      json: { type: 'boolean' },
    },
  });
  const { pool, count: text, out, json = false } = values;
  if (pool === undefined) throw usage('export: out of which pool? give its name: --pool NAME');
  if (text === undefined) throw usage('export: how many? give their number: --count N');
  if (out === undefined) throw usage('export: where to? give a directory: --out DIR');
  const count = readWhole('--count', text, 1, COUNT_MAX);
  assertPlace(values);
  makeKeyDirectory(out);
  const signal = interruptible();
  const path = `/v1/pools/${encodeURIComponent(pool)}/dispense`;
  for (let done = 0; done < count; ) {
    if (signal.aborted) return INTERRUPTED;
    const size = Math.min(BATCH, count - done);
    const { addresses } = await askOrLook<Dispensed>(
      values,
      async (server) => {
        await assertMayLook(server);
        const batch = await server.ask<Dispensed>('POST', path, 'addresses', { count: size });
        await untilRecorded(server, batch, signal);
        return batch;
      },
      async (config) => {
        const { dispenseOffline } = await import('../offline.ts');
        return { addresses: (await dispenseOffline(config, pool, size)).map(asDispensed) };
      },
    ).catch((error: unknown) => {
      throw done === 0 ? error : told(error, done);
    });
    writeFiles(out, addresses, json);
    done += size;
  }
  return 0;
}

/** What is no address of the store: whoever may look is told that. */
const NO_ADDRESS = '11111111111111111111111111111111';

/** Before anything is taken. Errors: TOKEN_REQUIRED, SCOPE_REQUIRED. */
async function assertMayLook(server: ServerClient): Promise<void> {
  try {
    await server.ask('GET', `/v1/addresses/${NO_ADDRESS}`, 'state');
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ADDRESS_NOT_FOUND') throw error;
  }
}

/** One turn records all of a reply. A store that fails is waited for: the addresses have left. */
async function untilRecorded(
  server: ServerClient,
  { addresses }: Dispensed,
  signal: AbortSignal,
): Promise<void> {
  const { address } = addresses.at(-1)!;
  for (;;) {
    const { state } = await server.ask<AddressView>('GET', `/v1/addresses/${address}`, 'state');
    if (state === 'dispensed') return;
    if (signal.aborted)
      throw new VanityError(
        'STORE_UNAVAILABLE',
        `${addresses.length} were handed out and not written`,
      );
    await sleep(LOOK_MS);
  }
}

function told(error: unknown, done: number): unknown {
  if (!(error instanceof VanityError)) return error;
  const message = `${error.message}; ${done} were written before`;
  return new VanityError(error.code, message, { cause: error });
}
