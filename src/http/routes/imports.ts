/**
 * Imports: keys that were found elsewhere come into a pool that accepts them. Runs in the HTTP
 * threads, which prove each key; a request whose keys are not all right brings in none. What is
 * acknowledged is on disk. A request that was cut off can be repeated: what the store has is counted.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ExpandedKeyToImport, ImportBody, ImportReport } from '../../api/imports.ts';
import { VanityError } from '../../errors.ts';
import { decodeBase58, isAddress } from '../../keypair/address.ts';
import {
  assertExpandedImportable,
  assertImportable,
  assertKeyType,
  refusedAt,
} from '../../keypair/importable.ts';
import { signingKeyOf } from '../../keypair/keypair.ts';
import type { Pattern } from '../../keypair/pattern.ts';
import type { KeyType, SigningKey } from '../../keypair/signing-key.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { poolFor } from '../visible-pools.ts';

/** For IMPORT_LIMIT expanded keys of 88 characters with their addresses, and what stands between them. */
const BODY_MAX = 262_144;
/** Proved in one go, in about a millisecond: then other requests have their turn. */
const PROVED_AT_ONCE: Readonly<Record<KeyType, number>> = { seed: 10, expanded: 4 };
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
        summary: 'Bring keys into a pool that accepts imports',
        description:
          'Of the key type of the pool. All of them are proved and matched first: one that is wrong, and ' +
          'none come in.',
        tags: ['imports'],
        body: ImportBody,
        response: { 200: ImportReport },
      },
    },
    async ({ body, token }): Promise<ImportReport> => {
      const {
        name,
        pattern,
        keys: keyType,
        acceptsImports,
      } = poolFor(token, pools, body.pool).shared;
      if (!acceptsImports) {
        const remedy = 'accepts_imports = true in its configuration allows them';
        throw new VanityError('IMPORTS_REFUSED', `pool ${name}: takes no imports; ${remedy}`);
      }
      const { secretKeys = [], expandedKeys = [] } = body as Given;
      assertKeyType(name, keyType, secretKeys.length > 0 ? 'seed' : 'expanded');
      const keys: SigningKey[] = [];
      const prove = async (key: SigningKey): Promise<void> => {
        keys.push(key);
        if (keys.length % PROVED_AT_ONCE[keyType] === 0) await nextTurn();
      };
      try {
        for (const [index, given] of secretKeys.entries()) {
          await prove(provedKey(given, index, pattern));
        }
        for (const [index, given] of expandedKeys.entries()) {
          await prove(provedExpandedKey(given, index, pattern));
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

/** One of the two, as the schema has it. */
interface Given {
  readonly secretKeys?: readonly string[];
  readonly expandedKeys?: readonly ExpandedKeyToImport[];
}

/** Error: KEYPAIR_REFUSED. */
function provedKey(secretKey: string, index: number, pattern: Pattern): SigningKey {
  const keypair = decoded(secretKey, index, 'seed');
  assertImportable(keypair, index, pattern);
  return signingKeyOf(keypair);
}

/** Error: KEYPAIR_REFUSED. */
function provedExpandedKey(
  { address, expandedKey }: ExpandedKeyToImport,
  index: number,
  pattern: Pattern,
): SigningKey {
  if (!isAddress(address)) throw refusedAt(index, 'its address is not one', 'expanded');
  const key = {
    keyType: 'expanded',
    key: decoded(expandedKey, index, 'expanded'),
    publicKey: decodeBase58(address),
  } as const;
  assertExpandedImportable(key, index, pattern);
  return key;
}

/** Error: KEYPAIR_REFUSED. */
function decoded(key: string, index: number, keyType: KeyType): Uint8Array {
  try {
    return decodeBase58(key);
  } catch {
    // Its message contains a character of the secret.
    throw refusedAt(index, 'not base58', keyType);
  }
}
