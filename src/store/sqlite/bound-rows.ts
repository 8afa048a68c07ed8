/**
 * Rows that are bound to the sealing key: those of tokens and pools, and the fact that a token was
 * ever made. Each carries a MAC (HMAC-SHA256) of all that it says, under a key that only the private
 * sealing key gives. So who can write the database, and has not that key, can make no token, open
 * no server and take no secret out of a sign-only pool. Runs in the store thread, or in the one that
 * opens the store; changes inside a transaction of the caller.
 *
 * A row that was right once, put back, is right again: that is not detected here.
 *
 * Rows of a store that comes from before there were MACs get theirs with its first start, which
 * seals its data keys anew, for a purpose of their own (keypair/seal.ts). So a store that lacks the
 * MACs and has data keys of that purpose was tampered with.
 *
 * Such a store can be made by who has no key, for its public half seals. So rows are bound with a
 * random number of that moment, the binding, and so are the data keys: what is bound anew has none of
 * the keypairs that were there before, also when their data keys are put back afterwards.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { VanityError } from '../../errors.ts';
import { isDataKey, resealDataKey } from '../../keypair/data-keys.ts';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import { forged, hasMac, type Kind, macOf, type Row, saidBy } from '../row-macs.ts';
import { prepareAll } from './database.ts';

const SQL = {
  meta: 'SELECT store_id, sealing_key, token_id, had_tokens, mac, binding FROM meta',
  setMeta: 'UPDATE meta SET token_id = ?, had_tokens = ?, mac = ?',
  setBinding: 'UPDATE meta SET binding = ?, sealing_key = ?',
  tokens: 'SELECT * FROM tokens ORDER BY id',
  token: 'SELECT * FROM tokens WHERE id = ?',
  setToken: 'UPDATE tokens SET mac = ? WHERE id = ?',
  pools: 'SELECT * FROM pools ORDER BY id',
  pool: 'SELECT * FROM pools WHERE id = ?',
  setPool: 'UPDATE pools SET mac = ? WHERE id = ?',
  dataKeys: 'SELECT id, sealed FROM data_keys ORDER BY id',
  setDataKey: 'UPDATE data_keys SET sealed = ? WHERE id = ?',
} as const;

const BINDING_BYTES = 16;

export interface TokenHistory {
  /** Ids up to this one were given, or may have been by a store that was lost. */
  readonly lastId: number;
  readonly hadTokens: boolean;
}

/** Called once for each row that is not what this program wrote, with a name for it. */
export type OnForged = (row: string) => void;

export class BoundRows {
  readonly #statements: { readonly [name in keyof typeof SQL]: StatementSync };
  #key: KeyObject;
  readonly #onForged: OnForged;
  readonly #forged = new Set<string>();

  constructor(db: DatabaseSync, key: KeyObject, onForged: OnForged = () => undefined) {
    this.#statements = prepareAll(db, SQL);
    this.#key = key;
    this.#onForged = onForged;
  }

  /** Whether the row is as it was written by this program. */
  isRight(kind: 'token' | 'pool', row: Row): boolean {
    if (this.#isRight(kind, row)) return true;
    const name = `${kind} ${row.name}`;
    if (!this.#forged.has(name)) this.#onForged(name);
    this.#forged.add(name);
    return false;
  }

  /** Error: STORE_FORGED. */
  assertRight(kind: 'token' | 'pool', row: Row): void {
    if (!this.isRight(kind, row)) throw forged(`${kind} ${row.name}`);
  }

  /** After a change, by which the row says this: the row. Error: STORE_FORGED where it does not, by a trigger. */
  bind(kind: 'token' | 'pool', row: Row): Row {
    const { token, pool, setToken, setPool } = this.#statements;
    const [look, set] = kind === 'token' ? [token, setToken] : [pool, setPool];
    const id = Number(row.id);
    const found = look.get(id);
    if (found === undefined || saidBy(kind, found) !== saidBy(kind, row)) {
      throw forged(`${kind} ${row.name}`);
    }
    set.run(this.#macOf(kind, row), id);
    return found;
  }

  /** What was ever made of tokens, whatever rows there are. Error: STORE_FORGED. */
  get history(): TokenHistory {
    const meta = this.#statements.meta.get()!;
    if (!this.#isRight('meta', meta)) throw forged('the note of whether tokens were made');
    return { lastId: Number(meta.token_id), hadTokens: meta.had_tokens === 1 };
  }

  set history({ lastId, hadTokens }: TokenHistory) {
    const said = { token_id: lastId, had_tokens: Number(hadTokens) };
    this.#statements.setMeta.run(lastId, said.had_tokens, this.#macOf('meta', said));
  }

  /** Rows that nobody has bound yet; the names of those that somebody made. */
  bindAll(): string[] {
    const { meta, tokens, pools } = this.#statements;
    const { token_id, had_tokens } = meta.get()!;
    this.history = { lastId: Number(token_id), hadTokens: had_tokens === 1 };
    const names: string[] = [];
    for (const [kind, rows] of [
      ['token', tokens.all()],
      ['pool', pools.all()],
    ] as const) {
      for (const row of rows) {
        this.bind(kind, row);
        names.push(`${kind} ${row.name}`);
      }
    }
    return names;
  }

  /**
   * Inside a transaction: rows that are right get their MACs under another key, and others stay wrong.
   * When that is committed, what it returns makes this go by that key. Error: STORE_FORGED.
   */
  move(key: KeyObject): () => void {
    const { meta, setMeta, tokens, setToken, pools, setPool } = this.#statements;
    const { lastId, hadTokens } = this.history;
    setMeta.run(lastId, Number(hadTokens), macOf('meta', meta.get()!, key));
    for (const [kind, rows, set] of [
      ['token', tokens.all(), setToken],
      ['pool', pools.all(), setPool],
    ] as const) {
      for (const row of rows) {
        if (this.#isRight(kind, row)) set.run(macOf(kind, row, key), Number(row.id));
      }
    }
    return () => {
      this.#key = key;
    };
  }

  #isRight(kind: Kind, row: Row): boolean {
    return hasMac(kind, row, this.#key);
  }

  #macOf(kind: Kind, row: Row): Buffer {
    return macOf(kind, row, this.#key);
  }
}

/** To look at them; undefined where they are not bound yet, or to another key. */
export function boundRowsOf(db: DatabaseSync, key: SealingKey): BoundRows | undefined {
  const { store_id, sealing_key, binding } = db.prepare('SELECT * FROM meta').get()!;
  const isIts =
    sealing_key instanceof Uint8Array && Buffer.compare(sealing_key, key.publicKey) === 0;
  if (!isIts || typeof binding !== 'string') return undefined;
  return new BoundRows(db, key.rowKey(String(store_id), binding));
}

export interface Binding {
  readonly rows: BoundRows;
  /** What data keys are sealed with: 32 hexadecimal digits. */
  readonly id: string;
  /**
   * Inside the transaction that begins the use of the store: binds what is not bound yet. The names
   * of the rows that were made before there were MACs.
   */
  apply(): string[];
}

/**
 * The rows of a store under its sealing key, before the transaction that begins its use. Error:
 * STORE_FORGED.
 */
export async function bindingOf(
  db: DatabaseSync,
  key: SealingKey,
  onForged?: OnForged,
): Promise<Binding> {
  const { meta, setBinding, dataKeys, setDataKey } = prepareAll(db, SQL);
  const { store_id, sealing_key, mac, binding } = meta.get()!;
  const storeId = String(store_id);
  // As long as nothing is sealed and no token was made, a store takes another key.
  const isOther =
    sealing_key !== null && Buffer.compare(sealing_key as Uint8Array, key.publicKey) !== 0;
  const bound = String(binding ?? '');
  if (mac !== null && !isOther) {
    const rows = new BoundRows(db, key.rowKey(storeId, bound), onForged);
    // Reading it is the check.
    void rows.history;
    return { rows, id: bound, apply: () => [] };
  }
  const next = randomBytes(BINDING_BYTES).toString('hex');
  const rows = new BoundRows(db, key.rowKey(storeId, next), onForged);
  const sealedKeys = dataKeys.all();
  const resealed = new Map<number, Uint8Array>();
  for (const { id, sealed } of sealedKeys) {
    if (await isDataKey(key, storeId, bound, sealed as Uint8Array)) throw unbound();
    const again = await resealDataKey(key, storeId, next, sealed as Uint8Array);
    if (again !== undefined) resealed.set(Number(id), again);
  }
  // They are of another binding, and lost with it.
  if (sealedKeys.length > 0 && resealed.size === 0) throw unbound();
  return {
    rows,
    id: next,
    apply() {
      setBinding.run(next, key.publicKey);
      for (const [id, sealed] of resealed) setDataKey.run(sealed, id);
      return rows.bindAll();
    },
  };
}

function unbound(): VanityError {
  return forged('what says that its rows are bound to the sealing key');
}
