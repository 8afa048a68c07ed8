/**
 * The client of a vanitypool server, for Node.js and browsers: needs `fetch`, `AbortSignal` and
 * `crypto.getRandomValues`, and no package. Every call is one promise with one time limit.
 *
 * A call that may be sent again is sent again by itself (src/client/caller.ts says when). That never
 * takes a second address: each dispense and each reservation carries an idempotency key of its own,
 * the same in all its repetitions. A call that fails all the same may have taken an address; ask
 * again with the same `idempotencyKey` to have it.
 */
import { VanitypoolAdmin } from './admin.ts';
import {
  type CallOptions,
  isIdempotencyKey,
  isToken,
  part,
  poolPath,
  randomKey,
  type StreamOptions,
  whole,
} from './call.ts';
import { Caller, type Fetch } from './caller.ts';
import { VanitypoolError } from './error.ts';
import { statusEvents } from './events.ts';
import type {
  AccessView,
  DispensedAddress,
  Health,
  HistoryView,
  PoolList,
  PoolView,
  Readiness,
  ReservationMade,
  ReservationView,
  SignatureView,
  StatusEvent,
  TransactionView,
} from './replies.ts';
import { isTime, TIME_MAX_MS } from './time-limit.ts';

export type {
  AuditOptions,
  BackupOptions,
  DeletePoolOptions,
  RotateKeyOptions,
  VanitypoolAdmin,
} from './admin.ts';
export type { CallOptions, StreamOptions } from './call.ts';
export type { Fetch, FetchReader, FetchReply, FetchRequest } from './caller.ts';
export type { ClientErrorCode } from './error.ts';
export { VanitypoolError } from './error.ts';
export type * from './replies.ts';

export interface VanitypoolClientOptions {
  /** Where the server is: `http://127.0.0.1:5057`, or behind a proxy `https://host/some/path`. */
  readonly url: string | URL;
  /** `vp_...`; none for a server on loopback that asks for none. */
  readonly token?: string | undefined;
  /** For a whole call, its repetitions and waits included. Default: 10,000. */
  readonly timeoutMs?: number;
  /** How often a call is sent again at most. Default: 3. */
  readonly retries?: number;
  /** Default: the global one. */
  readonly fetch?: Fetch;
}

export interface TakingOptions extends CallOptions {
  /**
   * 1 to 255 printable ASCII characters. Best your own number of the thing that needs the address:
   * asking again with it, after a crash too, gives the same address. Default: 128 random bits.
   */
  readonly idempotencyKey?: string | undefined;
}

export interface DispenseOptions extends TakingOptions {
  /** 1 to 1000; all of them or none. Default: 1. */
  readonly count?: number;
}

export interface ReserveOptions extends TakingOptions {
  /** 1 to 86,400. Default: 300. */
  readonly ttlSeconds?: number;
}

export interface HistoryOptions extends CallOptions {
  /** Of this pool alone. */
  readonly pool?: string;
}

const TIMEOUT_MS = 10_000;
const RETRIES = 3;

/** Every method throws VanitypoolError, or the reason of its signal. */
export class VanitypoolClient {
  readonly #caller: Caller;
  readonly #admin: VanitypoolAdmin;

  /** Throws a RangeError that names the option and what is allowed. */
  constructor(options: VanitypoolClientOptions) {
    const { token, timeoutMs = TIMEOUT_MS, retries = RETRIES } = options;
    allow(token === undefined || isToken(token), 'token: printable ASCII, no spaces');
    allow(isTime(timeoutMs), `timeoutMs: 1 to ${TIME_MAX_MS}`);
    allow(Number.isInteger(retries) && retries >= 0, 'retries: a whole number, 0 for none');
    const { fetch = globalThis.fetch } = options;
    this.#caller = new Caller({ url: baseOf(options.url), token, timeoutMs, retries, fetch });
    this.#admin = new VanitypoolAdmin(this.#caller);
  }

  /** The calls that manage the server; they take an admin token. */
  get admin(): VanitypoolAdmin {
    return this.#admin;
  }

  /** Takes addresses, for ever; with their secrets, unless the pool is sign-only. */
  async dispense(pool: string, options: DispenseOptions = {}): Promise<DispensedAddress[]> {
    const { count = 1, signal } = options;
    const reply = await this.#take(`${poolPath(pool)}/dispense`, { count }, options, signal);
    return part(reply, 'addresses');
  }

  /** Holds one address for a time; `dispenseReservation` returns its secret. */
  async reserve(pool: string, options: ReserveOptions = {}): Promise<ReservationMade> {
    const { ttlSeconds, signal } = options;
    const body = ttlSeconds === undefined ? {} : { ttlSeconds };
    const reply = await this.#take(`${poolPath(pool)}/reservations`, body, options, signal);
    return whole(reply, 'id');
  }

  /** What became of a reservation. */
  async reservation(id: string, options: CallOptions = {}): Promise<ReservationView> {
    return whole(await this.#get(reservationPath(id), options), 'state');
  }

  /** Takes the address that is held. Asked again it gives the same one. */
  async dispenseReservation(id: string, { signal }: CallOptions = {}): Promise<DispensedAddress> {
    const path = `${reservationPath(id)}/dispense`;
    const reply = await this.#caller.call({ method: 'POST', path, repeatable: true, signal });
    const [address] = part<DispensedAddress[]>(reply, 'addresses');
    return address!;
  }

  /** Gives the address that is held back: it is burned, unless the pool reuses such. */
  async release(id: string, { signal }: CallOptions = {}): Promise<void> {
    const path = reservationPath(id);
    await this.#caller.call({ method: 'DELETE', path, repeatable: true, signal });
  }

  /**
   * Has the server sign the message of a transaction with a dispensed address of a sign-only pool.
   * The same message again gets the same signature, and does not count again.
   */
  async sign(
    pool: string,
    address: string,
    message: Uint8Array,
    { signal }: CallOptions = {},
  ): Promise<SignatureView> {
    const path = `${poolPath(pool)}/addresses/${encodeURIComponent(address)}/signatures`;
    const body = { message: base64(message) };
    const ask = { method: 'POST', path, body, repeatable: true, signal } as const;
    return whole(await this.#caller.call(ask), 'signature');
  }

  /**
   * As `sign`, for a whole transaction, whose other signatures are verified and kept: gives the transaction,
   * in base64, with the signature of the address in its place.
   */
  async cosign(
    pool: string,
    address: string,
    transaction: Uint8Array,
    { signal }: CallOptions = {},
  ): Promise<TransactionView> {
    const path = `${poolPath(pool)}/addresses/${encodeURIComponent(address)}/transactions`;
    const body = { transaction: base64(transaction) };
    const ask = { method: 'POST', path, body, repeatable: true, signal } as const;
    return whole(await this.#caller.call(ask), 'transaction');
  }

  /** The status of every pool that exists for the token. */
  async pools(options: CallOptions = {}): Promise<PoolView[]> {
    return (await this.status(options)).pools;
  }

  /** The same, with that of the grinder and of the nodes of a database for a token of all pools. */
  async status(options: CallOptions = {}): Promise<PoolList> {
    return whole(await this.#get('/v1/pools', options), 'pools');
  }

  /** The status of one pool. */
  async pool(name: string, options: CallOptions = {}): Promise<PoolView> {
    return whole(await this.#get(poolPath(name), options), 'name');
  }

  /** What every pool, or `pool` alone, was over the last hour and the last day. */
  async history({ pool, signal }: HistoryOptions = {}): Promise<HistoryView> {
    const query = pool === undefined ? '' : `?pool=${encodeURIComponent(pool)}`;
    return whole(await this.#get(`/v1/history${query}`, { signal }), 'pools');
  }

  /** What the token of this client may do, and whether the server requires one. Needs no token. */
  async access(options: CallOptions = {}): Promise<AccessView> {
    return whole(await this.#get('/v1/access', options), 'required');
  }

  /** Which version answers, and how long it has run. Needs no token. */
  async health(options: CallOptions = {}): Promise<Health> {
    return whole(await this.#get('/healthz', options), 'version');
  }

  /** Whether addresses can be handed out now; throws why not. Asks once, since "now" is asked for. */
  async ready({ signal }: CallOptions = {}): Promise<Readiness> {
    const ask = { method: 'GET', path: '/readyz', repeatable: false, signal } as const;
    return whole(await this.#caller.call(ask), 'status');
  }

  /**
   * The status of all pools, once a second, without an end: `for await (const status of ...)`. A
   * stream that breaks or sends nothing for `silenceMs` (default: `timeoutMs`) is opened again, `retries`
   * times in a row.
   */
  events(options: StreamOptions = {}): AsyncGenerator<StatusEvent, void> {
    return statusEvents(this.#caller, options);
  }

  #get(path: string, { signal }: CallOptions): Promise<unknown> {
    return this.#caller.call({ method: 'GET', path, repeatable: true, signal });
  }

  #take(
    path: string,
    body: object,
    { idempotencyKey = randomKey() }: TakingOptions,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    // What no header can hold would fail inside `fetch` and look like a server that is away.
    if (!isIdempotencyKey(idempotencyKey)) {
      const detail = 'idempotencyKey: allowed: 1 to 255 printable ASCII characters';
      throw new VanitypoolError('IDEMPOTENCY_KEY_INVALID', detail);
    }
    return this.#caller.call({
      method: 'POST',
      path,
      body,
      idempotencyKey,
      repeatable: true,
      signal,
    });
  }
}

function reservationPath(id: string): string {
  return `/v1/reservations/${encodeURIComponent(id)}`;
}

/** Neither it nor what is wrong with it is shown: a password may be in it. */
function baseOf(url: string | URL): string {
  const text = String(url);
  const base = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain =
    base !== undefined &&
    /^https?:$/.test(base.protocol) &&
    `${base.username}${base.password}${base.search}${base.hash}` === '';
  allow(isPlain, 'url: http:// or https://, without user, password, ? and #');
  return base!.href.replace(/\/+$/, '');
}

function allow(isAllowed: boolean, allowed: string): void {
  if (!isAllowed) throw new RangeError(allowed.replace(': ', ': allowed: '));
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
