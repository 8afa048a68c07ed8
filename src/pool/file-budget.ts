/**
 * What the file descriptors of the server are spent on, in shared memory: first the threads and the
 * journals of the pools, then connections, of which there are as many as that leaves, and no more than
 * `http.max_connections`. So a connection too many is refused by us, with a word and counted: where no
 * descriptor is left, libuv would close it without either.
 *
 * The main thread makes it, the store thread says how many parts of journals there are, and any thread
 * reads it: each HTTP thread with every connection.
 */
import { VanityError } from '../errors.ts';
import { Board } from './board.ts';

const FIELDS = ['limit', 'ofServer', 'threads', 'wanted', 'parts'] as const;
/** Of its writer, and of the store thread, which reads it. */
const OF_PART = 2;
/** Connections of one thread beyond its limit that get a 503. */
export const REFUSED_MAX = 256;
/** Without as many for each thread a server is not started, and a pool not made. */
const CONNECTIONS_MIN = 16;

export interface FileFigures {
  /** RLIMIT_NOFILE, infinite without. */
  readonly limit: number;
  /** All but journals and connections. */
  readonly ofServer: number;
  /** That answer. */
  readonly threads: number;
  /** Connections, as configured. */
  readonly wanted: number;
}

export class FileBudget {
  readonly #board: Board<(typeof FIELDS)[number]>;

  static of({ limit, ...figures }: FileFigures): FileBudget {
    const budget = new FileBudget();
    budget.#board.write({ ...figures, limit: Math.min(limit, Number.MAX_SAFE_INTEGER) });
    return budget;
  }

  constructor(buffer?: SharedArrayBuffer) {
    this.#board = new Board(FIELDS, buffer);
  }

  get buffer(): SharedArrayBuffer {
    return this.#board.buffer;
  }

  /** Of all threads. */
  get connections(): number {
    const { threads, wanted } = this.#board.read();
    return Math.min(wanted, threads * this.ofThread.connections);
  }

  /** Connections that a thread serves, and those beyond that it refuses with a 503. */
  get ofThread(): { readonly connections: number; readonly refused: number } {
    const { threads, wanted } = this.#board.read();
    const room = Math.max(0, Math.floor(this.#left(0) / threads));
    const least = Math.min(REFUSED_MAX, Math.floor(room / 4));
    const connections = Math.max(1, Math.min(Math.ceil(wanted / threads), room - least));
    return { connections, refused: Math.max(0, Math.min(REFUSED_MAX, room - connections)) };
  }

  /** Store thread only: parts of journals that are open. */
  setParts(parts: number): void {
    this.#board.write({ parts });
  }

  /** Whether there can be so many more parts. */
  fits(more: number): boolean {
    return this.#left(more) >= CONNECTIONS_MIN * this.#board.get('threads');
  }

  /**
   * Before so many more pools are served, `areJournaled` or not: each thread has a journal of each, and
   * so has the store thread. Error: SYSTEM_LIMIT_REACHED, with the figures.
   */
  assertPools(pools: number, areJournaled: boolean): void {
    const { limit, threads } = this.#board.read();
    const more = areJournaled ? pools * (1 + threads) : 0;
    if (this.fits(more)) return;
    const needed = limit - this.#left(more) + CONNECTIONS_MIN * threads;
    const whose = pools === 1 ? 'one more pool' : `${pools} pools`;
    throw new VanityError(
      'SYSTEM_LIMIT_REACHED',
      `${whose} with http.threads = ${threads}: ${needed} file descriptors are needed, and RLIMIT_NOFILE is ${limit}; raise it ` +
        '(ulimit -n, LimitNOFILE= of systemd, docker run --ulimit nofile=), or take fewer http.threads',
    );
  }

  #left(more: number): number {
    const { limit, ofServer, parts } = this.#board.read();
    return limit - ofServer - OF_PART * (parts + more);
  }
}
