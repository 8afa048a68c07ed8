/**
 * Imports: keypairs that were found elsewhere come into a pool that accepts them. Runs in the HTTP
 * threads, which prove each key; a request whose keys are not all right brings in none. What is
 * acknowledged is on disk. A request that was cut off can be repeated: what the store has is counted.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ImportBody, ImportReport } from '../../api/imports.ts';
import { VanityError } from '../../errors.ts';
import { decodeBase58 } from '../../keypair/address.ts';
import { assertImportable, refusedAt } from '../../keypair/importable.ts';
import { signingKeyOf } from '../../keypair/keypair.ts';
import type { Pattern } from '../../keypair/pattern.ts';
import type { SigningKey } from '../../keypair/signing-key.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { poolFor } from '../visible-pools.ts';

/** For IMPORT_LIMIT keys of 88 characters, and what stands between them. */
const BODY_MAX = 131_072;
/** Proved in one go, in about a millisecond: then other requests have their turn. */
const PROVED_AT_ONCE = 10;
/** Of a disk that is slow but alive. What did not come in by then may still. */
const IMPORT_TIMEOUT_MS = 20_000;

export function importRoutes(app: App, { pools, store }: AppDeps): void {
  app.post(
    '/v1/imports',
    {
      bodyLimit: BODY_MAX,
      config: {
        scope: 'admin',
        errors: ['KEYPAIR_REFUSED', 'POOL_NOT_FOUND', 'IMPORTS_REFUSED', 'STORE_UNAVAILABLE'],
      },
      schema: {
        operationId: 'importKeypairs',
        summary: 'Bring keypairs into a pool that accepts imports',
        description:
          'All of them are proved and matched first: one that is wrong, and none come in.',
        tags: ['imports'],
        body: ImportBody,
        response: { 200: ImportReport },
      },
    },
    async ({ body, token }): Promise<ImportReport> => {
      const { name, pattern, acceptsImports } = poolFor(token, pools, body.pool).shared;
      if (!acceptsImports) {
        const remedy = 'accepts_imports = true in its configuration allows them';
        throw new VanityError('IMPORTS_REFUSED', `pool ${name}: takes no imports; ${remedy}`);
      }
      const keys: SigningKey[] = [];
      try {
        for (const [index, secretKey] of body.secretKeys.entries()) {
          keys.push(provedKey(secretKey, index, pattern));
          if (keys.length % PROVED_AT_ONCE === 0) await nextTurn();
        }
        const order = { pool: name, keys };
        const { inserted, duplicates } = await store().call('import', order, {
          timeoutMs: IMPORT_TIMEOUT_MS,
        });
        return { imported: inserted, duplicates };
      } finally {
        for (const { key } of keys) key.fill(0);
      }
    },
  );
}

/** Error: KEYPAIR_REFUSED. */
function provedKey(secretKey: string, index: number, pattern: Pattern): SigningKey {
  let keypair: Uint8Array;
  try {
    keypair = decodeBase58(secretKey);
  } catch {
    // Its message contains a character of the secret.
    throw refusedAt(index, 'not base58');
  }
  assertImportable(keypair, index, pattern);
  return signingKeyOf(keypair);
}
