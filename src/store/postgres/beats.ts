/**
 * How nodes know of each other: each beats, on a connection of its own, and looks at the beats of the others.
 * Runs in the store thread.
 *
 * A beat that was answered says until when this run may act alone. A run is given up by observation: its beat did not
 * change through its whole time to live, on this machine's monotonic clock, with every look answered. No time of
 * day is compared, an outage of the database ends nobody, and an observer that stood still forgets what it saw.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../../errors.ts';
import { EpochOver, type StoreEvents, StoreRewound } from '../store.ts';
import type { Connection } from './connection.ts';
import { look } from './database-sight.ts';
import { expire, type OpenRun } from './expiry.ts';
import type { Run } from './run.ts';

const SQL = {
  beat: `UPDATE vanitypool.epochs SET beats = beats + 1, beaten_at = $3
    WHERE epoch = $1 AND run = $2 AND state = 'open'`,
  others: `SELECT epoch, beats, ttl_ms FROM vanitypool.epochs WHERE state = 'open' AND epoch <> $1`,
} as const;

/** In the shortest time to live of all: who looks less often gives up nobody that has that. */
const BEATS = 6;
/** After one that failed. */
const AGAIN_MS = 1000;
/** What a beat's answer may be late by, and clocks apart, before another observer gives this run up. */
const MARGIN_MS = 1000;
const MARGIN_SHARE = 0.02;
/** Of a time to live: an observer that looked less often forgets. */
const GAP_SHARE = 1 / 3;

/** In ms since any moment, also while the machine is suspended where the system can say so; never set. */
export type Monotonic = () => number;

export interface BeatsOptions {
  readonly run: Run;
  readonly connection: Connection;
  readonly ttlMs: number;
  /** Ends runs of others that are not heard of. */
  readonly watchesOthers: boolean;
  readonly now?: Monotonic;
}

type OtherRun = OpenRun & { readonly ttl_ms: number };

interface Sight {
  readonly beats: number;
  /** When the first look was answered that saw it: what was asked for before may have waited. */
  readonly since: number;
  /** Of the last look, when it was asked for. */
  seenAt: number;
}

export class Beats {
  readonly #options: BeatsOptions;
  readonly #now: Monotonic;
  /** By epoch: since when a beat was seen as it is. */
  readonly #sights = new Map<number, Sight>();
  #begunAt = 0;
  #intervalMs: number;
  #events: Pick<StoreEvents, 'deadline' | 'over' | 'lost'> | undefined;

  constructor(options: BeatsOptions) {
    this.#options = options;
    this.#intervalMs = options.ttlMs / BEATS;
    this.#now = options.now ?? (() => Number(process.hrtime.bigint() / 1_000_000n));
  }

  /** What the transaction that begins a run is preceded by, for `begun`. */
  get now(): number {
    return this.#now();
  }

  /** The beginning of a run is its first beat. */
  begun(atMs: number): void {
    this.#begunAt = atMs;
    this.#events?.deadline(this.#until(atMs));
  }

  /** Until it is disposed of. One at a time. */
  start(events: Pick<StoreEvents, 'deadline' | 'over' | 'lost'>): Disposable {
    const stop = new AbortController();
    this.#events = events;
    events.deadline(this.#until(this.#begunAt));
    void this.#run(events, stop.signal);
    return { [Symbol.dispose]: () => stop.abort() };
  }

  /** One beat, and one look at the others. Errors: EpochOver, StoreRewound, those of `Connection`. */
  async beat({ deadline, lost }: Pick<StoreEvents, 'deadline' | 'lost'>): Promise<void> {
    const { run, connection, watchesOthers, ttlMs } = this.#options;
    const { epoch, id } = run;
    const before = this.#now();
    const since = run.sight.last;
    const { others, seen } = await connection.transaction(async ({ query }) => {
      const { count } = await query(SQL.beat, [epoch, id, run.now]);
      if (count === 0) throw await run.fenced(query, { epoch, id });
      const { rows } = watchesOthers ? await query<OtherRun>(SQL.others, [epoch]) : { rows: [] };
      return { others: rows, seen: await look(query) };
    });
    // The beat stands: people see by it who runs.
    run.sight.assertSound(seen, since);
    // Another run may have begun meanwhile.
    if (run.epoch === epoch) deadline(this.#until(before));
    this.#intervalMs = Math.min(ttlMs, ...others.map(({ ttl_ms: theirs }) => theirs)) / BEATS;
    for (const dead of this.#unchanged(others, before, this.#now())) {
      const node = await expire(connection, run, dead);
      if (node !== undefined) lost(node);
    }
  }

  /** How long a run may act alone whose beat was sent at this moment, and answered. */
  #until(atMs: number): number {
    return atMs + this.#options.ttlMs * (1 - MARGIN_SHARE) - MARGIN_MS;
  }

  /** Those whose time is over, by a look that was asked for and answered at these moments. */
  #unchanged(others: readonly OtherRun[], askedAt: number, answeredAt: number): OpenRun[] {
    const open = new Set(others.map(({ epoch }) => epoch));
    for (const epoch of this.#sights.keys()) if (!open.has(epoch)) this.#sights.delete(epoch);
    return others.filter(({ epoch, beats, ttl_ms: ttlMs }) => {
      const known = this.#sights.get(epoch);
      const isSame = known?.beats === beats && askedAt - known.seenAt <= ttlMs * GAP_SHARE;
      if (isSame) known.seenAt = askedAt;
      else this.#sights.set(epoch, { beats, since: answeredAt, seenAt: askedAt });
      return isSame && askedAt - known.since > ttlMs;
    });
  }

  async #run(
    events: Pick<StoreEvents, 'deadline' | 'over' | 'lost'>,
    signal: AbortSignal,
  ): Promise<void> {
    const { run } = this.#options;
    while (!signal.aborted) {
      let againMs = Infinity;
      try {
        await run.noticing(() => this.beat(events));
      } catch (error) {
        againMs = AGAIN_MS;
        // A look that failed is none: how long the others stood is not known.
        this.#sights.clear();
        const isOver = error instanceof EpochOver || error instanceof StoreRewound;
        if (isOver && !signal.aborted) events.over(error);
        else if (!(error instanceof VanityError)) throw error;
      }
      const waitMs = Math.min(this.#intervalMs, againMs);
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
