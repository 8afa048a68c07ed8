/** Stores on a real PostgreSQL server, each with a database of its own, for tests; checked when they end. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { join } from 'node:path';
import { openPostgresStore, type PostgresStoreOptions } from '../../src/store/postgres/open.ts';
import { PostgresReader } from '../../src/store/postgres/reader.ts';
import type { NodeIdentity } from '../../src/store/postgres/run.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import type { Store } from '../../src/store/store.ts';
import type { PostgresServer } from './postgres.ts';
import { removeDirectory, temporaryDirectory } from './sqlite-stores.ts';
import type { StoreMaker } from './store-subject.ts';

/** A node that no test has had before. */
export function someNode(): NodeIdentity {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const id = randomBytes(16).toString('hex');
  return {
    ...{ id, name: 'test', place: id.slice(0, 16), signKey: bytesOf(publicKey) },
    sign: (message) => sign(null, message, privateKey),
  };
}

function bytesOf(key: KeyObject): Uint8Array {
  return Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url');
}

export function keySourceIn(directory: string): string {
  return `file:${join(directory, 'sealing.key')}`;
}

export interface Place {
  readonly url: string;
  readonly node: NodeIdentity;
  readonly directory: string;
}

export class PostgresStores implements StoreMaker {
  readonly #server: () => PostgresServer;
  readonly #places = new Map<Store, Place>();
  #template: string | undefined;

  readonly #through: (url: string) => string;

  /** Started by the time a store is opened. `through`: by which way its stores come to it. */
  constructor(server: () => PostgresServer, through: (url: string) => string = (url) => url) {
    this.#server = server;
    this.#through = through;
  }

  async open(): Promise<Store> {
    return this.openAt(await this.newPlace());
  }

  /** For one node; another one of the same database has the same directory, for its sealing key. */
  async newPlace(): Promise<Place> {
    const url = this.#through(await this.#database());
    return { url, node: someNode(), directory: temporaryDirectory() };
  }

  /** As another node does, or again as the same one. */
  async openAt(place: Place, more: Partial<PostgresStoreOptions> = {}): Promise<Store> {
    const { url, node, directory } = place;
    const settings = connectionSettings(url, {});
    const sealingKey = keySourceIn(directory);
    const store = await openPostgresStore({
      ...{ settings, node, sealingKey, data: directory },
      ...more,
    });
    this.#places.set(store, place);
    return store;
  }

  /** Beside them. */
  reader({ url, directory }: Place, sealingKey?: string): Promise<PostgresReader> {
    return PostgresReader.open({
      settings: connectionSettings(url, {}),
      sealingKey: sealingKey ?? keySourceIn(directory),
    });
  }

  async reopen(store: Store): Promise<Store> {
    const place = this.placeOf(store);
    this.#places.delete(store);
    await store.close();
    return this.openAt(place);
  }

  async destroy(store: Store): Promise<void> {
    const { url, directory } = this.placeOf(store);
    this.#places.delete(store);
    await store.close();
    try {
      await this.check(url);
    } finally {
      removeDirectory(directory);
    }
  }

  placeOf(store: Store): Place {
    return this.#places.get(store)!;
  }

  /** Every address is in one state, and the figures are the sums of these; by queries of its own. */
  async check(url: string): Promise<void> {
    const database = new URL(url).pathname.slice(1);
    assert.deepEqual(
      await this.#server().sql(`${WRONG_FIGURES} UNION ALL (${FAULTS})`, [], database),
      [],
    );
  }

  async #database(): Promise<string> {
    const server = this.#server();
    // Migrated once.
    if (this.#template === undefined) {
      const url = await server.database();
      const place = { url, node: someNode(), directory: temporaryDirectory() };
      const store = await this.openAt(place);
      this.#places.delete(store);
      await store.close();
      removeDirectory(place.directory);
      const name = new URL(url).pathname.slice(1);
      this.#template = name;
    }
    const url = await server.database(this.#template);
    await server.sql(NEW_STORE, [], new URL(url).pathname.slice(1));
    return url;
  }
}

/** What a copy of a database is not: a store of its own. */
const NEW_STORE = `UPDATE vanitypool.nodes SET retired_at = created_at;
  UPDATE vanitypool.cluster SET sealing_key = NULL, binding = NULL, mac = NULL, system_id = NULL,
    store_id = replace(gen_random_uuid()::text, '-', '')`;

/** States by what each table says, not by the view of the program. */
const FIGURES = `
  WITH address AS (
    SELECT id, id >> 20 AS lane FROM vanitypool.secrets
    UNION ALL SELECT id, id >> 20 FROM vanitypool.remains),
  said AS (
    SELECT address.id, coalesce(b.pool_id, r.pool_id, l.pool_id, e.pool_id) AS pool_id,
      b.first IS NOT NULL AS burned, r.first IS NOT NULL AS returned,
      l.position + address.id - l.first AS position, q.position AS recorded, h.taken,
      EXISTS (SELECT FROM vanitypool.reservations
        WHERE address_id = address.id AND ended_at IS NULL) AS held
    FROM address
    LEFT JOIN vanitypool.lane_ends AS e ON e.lane = address.lane
    LEFT JOIN vanitypool.lane_heads AS h ON h.lane = address.lane
    LEFT JOIN vanitypool.burns AS b ON address.id BETWEEN b.first AND b.last
    LEFT JOIN vanitypool.returned AS r ON address.id BETWEEN r.first AND r.last
    LEFT JOIN vanitypool.leases AS l ON address.id BETWEEN l.first AND l.last
    LEFT JOIN vanitypool.queues AS q ON (q.epoch, q.pool_id) = (l.epoch, l.pool_id)),
  counted AS (
    SELECT pool_id, CASE
      WHEN burned THEN 'burned' WHEN returned THEN 'available'
      WHEN position IS NULL AND id > taken THEN 'available'
      WHEN position IS NULL THEN 'lost'
      WHEN position >= recorded THEN 'leased' WHEN held THEN 'reserved' ELSE 'dispensed' END AS state,
      count(*) AS count
    FROM said GROUP BY 1, 2)
  SELECT p.name AS pool, s.state, coalesce(c.count, 0) AS counted, s.figure
  FROM vanitypool.pools AS p
  CROSS JOIN LATERAL (
    SELECT state, sum(figure) AS figure FROM vanitypool.figures AS f
    CROSS JOIN LATERAL (VALUES ('available', f.available), ('leased', f.leased), ('reserved', f.reserved),
      ('dispensed', f.dispensed), ('burned', f.burned), ('lost', 0)) AS v (state, figure)
    WHERE f.pool_id = p.id GROUP BY state) AS s
  LEFT JOIN counted AS c ON c.pool_id = p.id AND c.state = s.state`;

const WRONG_FIGURES = `
  SELECT format('%s of pool %s: %s, and the figure is %s', state, pool, counted, figure) AS fault, 0 AS id
  FROM (${FIGURES}) AS counted WHERE counted <> figure`;

/** What is in two places, or behind the end of where it is; public keys of others; quotas that are not what left. */
const FAULTS = `
  WITH lease AS (SELECT *, position + last - first + 1 AS "end" FROM vanitypool.leases),
  hand_out AS (SELECT *, position + count AS "end" FROM vanitypool.hand_outs),
  taken AS (SELECT token_id, at / 86400000 AS day, sum(count) AS used FROM hand_out
    WHERE token_id IS NOT NULL GROUP BY 1, 2)
  SELECT 'leased twice' AS fault, a.first AS id FROM lease AS a JOIN lease AS b
    ON b.first > a.first AND b.first <= a.last
  UNION ALL SELECT 'given back twice', a.first FROM vanitypool.returned AS a JOIN vanitypool.returned AS b
    ON b.first > a.first AND b.first <= a.last
  UNION ALL SELECT 'burned twice', a.first FROM vanitypool.burns AS a JOIN vanitypool.burns AS b
    ON b.first > a.first AND b.first <= a.last
  UNION ALL SELECT 'taken for empty', h.lane FROM vanitypool.lane_heads AS h
    JOIN vanitypool.lane_ends AS e USING (lane) WHERE h.is_empty AND (h.taken < e.filled OR e.writer IS NOT NULL)
  UNION ALL SELECT 'two leases of a position', b.position FROM lease AS a
    JOIN lease AS b USING (epoch, pool_id) WHERE b.position > a.position AND b.position < a.end
  UNION ALL SELECT 'leased behind the end', lease.position FROM lease
    JOIN vanitypool.queues USING (epoch, pool_id) WHERE lease.end > queues.pushed
  UNION ALL SELECT 'two hand-outs of a position', b.position FROM hand_out AS a
    JOIN hand_out AS b USING (epoch, pool_id) WHERE b.position > a.position AND b.position < a.end
  UNION ALL SELECT 'handed out and not recorded', hand_out.position FROM hand_out
    JOIN vanitypool.queues USING (epoch, pool_id) WHERE hand_out.end > queues.position
  UNION ALL SELECT 'remains of another key', remains.id FROM vanitypool.remains
    LEFT JOIN vanitypool.keys USING (id) WHERE key_hash IS DISTINCT FROM sha256(public_key)
      AND public_key <> decode(repeat('00', 32), 'hex')
  UNION ALL SELECT 'quota', token_id FROM taken FULL JOIN vanitypool.quotas USING (token_id, day)
    WHERE taken.used IS DISTINCT FROM quotas.used AND coalesce(taken.used, 0) <> coalesce(quotas.used, 0)`;
