/**
 * The calls of the client that manage a server: tokens, pools at run time, imports, audit, backups.
 * They take a token of the scope `admin`. Runs in Node.js and in browsers.
 *
 * What is the same the second time is sent again by itself, as src/client/caller.ts says. Making a
 * token or a pool and deleting a pool are not: if no reply comes, look whether it was done.
 */
import { type CallOptions, part, poolPath, type StreamOptions, whole } from './call.ts';
import type { Ask, Caller } from './caller.ts';
import type {
  AddressView,
  AuditEntry,
  AuditPageView,
  ExpandedKeyToImport,
  ImportReport,
  KeyRotated,
  NewPoolBody,
  NewTokenBody,
  NodesView,
  PoolChangeBody,
  PoolRemoved,
  PoolView,
  SealingKeyView,
  TakerList,
  TokenMade,
  TokenView,
  WarningList,
} from './replies.ts';

export interface AuditOptions extends CallOptions {
  /** Addresses with greater ids. Default: 0, all. */
  readonly after?: number;
  /** Of this pool alone. */
  readonly pool?: string | undefined;
  /** What changed its state then or later. */
  readonly since?: Date | undefined;
}

export interface DeletePoolOptions extends CallOptions {
  /** The name of the pool again. */
  readonly burn: string;
}

export interface RotateKeyOptions extends CallOptions {
  /** `env:NAME`, a variable of the server that holds the new key. Default: a new key is made. */
  readonly to?: string | undefined;
  /** Also encrypt every secret in the store again, after the reply: see `sealingKey`. Default: false. */
  readonly reseal?: boolean | undefined;
}

/** `silenceMs` is ten minutes unless it is given, whatever `timeoutMs` is. */
export interface BackupOptions extends StreamOptions {
  /** Called once with the size of the backup in bytes, before its first piece. */
  readonly onSize?: ((bytes: number) => void) | undefined;
}

/** A large backup is made and checked before its first byte. */
const BACKUP_SILENCE_MS = 600_000;
/** Of one request. */
const AUDIT_PAGE = 1000;

/** Made by `VanitypoolClient`. Every method throws VanitypoolError, or the reason of its signal. */
export class VanitypoolAdmin {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Every token that was ever made, without its text. */
  async tokens(options: CallOptions = {}): Promise<TokenView[]> {
    return part(await this.#ask('GET', '/v1/tokens', options), 'tokens');
  }

  /**
   * Creates a token; its text is shown only once. Never retried: if no reply comes, the token may exist
   * although nobody knows its text. Revoke it then.
   */
  async createToken(body: NewTokenBody, options: CallOptions = {}): Promise<TokenMade> {
    return whole(await this.#ask('POST', '/v1/tokens', options, body, false), 'token');
  }

  /** The token of this name is refused from now on. */
  async revokeToken(name: string, options: CallOptions = {}): Promise<TokenView> {
    const path = `/v1/tokens/${encodeURIComponent(name)}`;
    return whole(await this.#ask('DELETE', path, options), 'name');
  }

  /** Switches a token on that is off since the store was restored; a revoked one stays revoked. */
  async restoreToken(name: string, options: CallOptions = {}): Promise<TokenView> {
    const path = `/v1/tokens/${encodeURIComponent(name)}/restore`;
    return whole(await this.#ask('POST', path, options), 'name');
  }

  /** Which sealing key the server has, never the key itself. Takes a token for all pools. */
  async sealingKey(options: CallOptions = {}): Promise<SealingKeyView> {
    return whole(await this.#ask('GET', '/v1/keys', options), 'source');
  }

  /**
   * Replaces the sealing key of the server; back up the new one then. Never sent again by itself: if no
   * reply comes, the log of the server says whether it was done. Takes a token for all pools.
   */
  async rotateKey({ to, reseal, signal }: RotateKeyOptions = {}): Promise<KeyRotated> {
    const body = { ...(to !== undefined && { to }), ...(reseal !== undefined && { reseal }) };
    return whole(await this.#ask('POST', '/v1/keys/rotate', { signal }, body, false), 'source');
  }

  /** Makes a pool, which every thread serves then, and after a restart. Never sent again by itself. */
  async createPool(body: NewPoolBody, options: CallOptions = {}): Promise<PoolView> {
    return whole(await this.#ask('POST', '/v1/pools', options, body, false), 'name');
  }

  /** Changes a pool that was made at run time; its pattern never changes. */
  async changePool(
    name: string,
    change: PoolChangeBody,
    options: CallOptions = {},
  ): Promise<PoolView> {
    return whole(await this.#ask('PATCH', poolPath(name), options, change), 'name');
  }

  /** From now on nothing of the pool is handed out, and nothing ground for it. */
  async pausePool(name: string, options: CallOptions = {}): Promise<PoolView> {
    return whole(await this.#ask('POST', `${poolPath(name)}/pause`, options), 'name');
  }

  async resumePool(name: string, options: CallOptions = {}): Promise<PoolView> {
    return whole(await this.#ask('POST', `${poolPath(name)}/resume`, options), 'name');
  }

  /**
   * Deletes a pool that was made at run time: all that it has left, reservations included, is burned
   * and can never leave. Never sent again by itself.
   */
  async deletePool(name: string, options: DeletePoolOptions): Promise<PoolRemoved> {
    const { burn } = options;
    return whole(await this.#ask('DELETE', poolPath(name), options, { burn }, false), 'burned');
  }

  /**
   * Brings keypairs, 1 to 1000 in base58 of 64 bytes, into a pool that accepts imports: all of them
   * or none. Sent a second time they count as duplicates, so that these are in as well.
   */
  async importKeypairs(
    pool: string,
    secretKeys: readonly string[],
    options: CallOptions = {},
  ): Promise<ImportReport> {
    const body = { pool, secretKeys };
    return whole(await this.#ask('POST', '/v1/imports', options, body), 'imported');
  }

  /** The same for expanded keys, each with its address, into a pool of such. */
  async importExpandedKeys(
    pool: string,
    expandedKeys: readonly ExpandedKeyToImport[],
    options: CallOptions = {},
  ): Promise<ImportReport> {
    const body = { pool, expandedKeys };
    return whole(await this.#ask('POST', '/v1/imports', options, body), 'imported');
  }

  /**
   * What left or was given up, by id, to the end: `for await (const entry of ...)`. Asks for a page
   * at a time; each has the whole time limit.
   */
  async *audit(options: AuditOptions = {}): AsyncGenerator<AuditEntry, void> {
    for await (const entries of this.auditPages(options)) yield* entries;
  }

  /** The same in pages, as they come: up to 1000 entries each, or none where nothing of it left. */
  async *auditPages({
    after = 0,
    pool,
    since,
    signal,
  }: AuditOptions = {}): AsyncGenerator<AuditEntry[], void> {
    const filter = {
      limit: String(AUDIT_PAGE),
      ...(pool !== undefined && { pool }),
      ...(since !== undefined && { since: since.toISOString() }),
    };
    for (let next: number | null = after; next !== null; ) {
      const query = new URLSearchParams({ ...filter, after: String(next) });
      const reply = await this.#ask('GET', `/v1/audit?${query}`, { signal });
      const page: AuditPageView = whole(reply, 'entries');
      yield page.entries;
      next = page.next;
    }
  }

  /** Who took how many addresses since the begin of the UTC day, most first. Takes a token for all pools. */
  async takers(options: CallOptions = {}): Promise<TakerList> {
    return whole(await this.#ask('GET', '/v1/takers', options), 'takers');
  }

  /** The nodes that share the store, and how they are doing. Takes a token for all pools. */
  async nodes(options: CallOptions = {}): Promise<NodesView> {
    return whole(await this.#ask('GET', '/v1/nodes', options), 'nodes');
  }

  /** The last warnings and errors of the server's log, the newest first. Takes a token for all pools. */
  async warnings(options: CallOptions = {}): Promise<WarningList['warnings']> {
    return part(await this.#ask('GET', '/v1/warnings', options), 'warnings');
  }

  /** What became of one address, in whatever state. */
  async address(address: string, options: CallOptions = {}): Promise<AddressView> {
    const path = `/v1/addresses/${encodeURIComponent(address)}`;
    return whole(await this.#ask('GET', path, options), 'address');
  }

  /**
   * A backup of the whole store, as `vanitypool restore` takes it, in pieces: it is whole when the
   * loop over them ends without an error. Takes a token for all pools.
   */
  backup({
    signal,
    silenceMs = BACKUP_SILENCE_MS,
    onSize,
  }: BackupOptions = {}): AsyncGenerator<Uint8Array, void> {
    const ask = { method: 'POST', path: '/v1/backups', repeatable: false, signal } as const;
    return this.#caller.bytes(ask, { type: 'application/octet-stream', silenceMs, onSize });
  }

  #ask(
    method: Ask['method'],
    path: string,
    { signal }: CallOptions,
    body?: object,
    repeatable = true,
  ): Promise<unknown> {
    return this.#caller.call({ method, path, body, repeatable, signal });
  }
}
