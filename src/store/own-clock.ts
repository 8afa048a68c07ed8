/**
 * The time that a store goes by. The system's clock may be set to anything at any moment, so this one
 * is its own: the system's time at the start plus what has passed since, suspended or not. It follows
 * the system's clock where that drifts, and does not believe it at once where it jumps. Runs in the
 * store thread; nothing else in the store or the pools asks what time it is.
 *
 *   drift   a difference of up to a minute is followed, by at most a minute in an hour
 *   step    a larger one is taken only when it has stood, to a minute, through an hour in which the
 *           clock was looked at each minute; the ends of open reservations move by as much
 *   doubt   a start whose clock is behind the time that was saved last, or over an hour ahead of it,
 *           is in doubt for its first hour, and takes steps at once. It saves no time meanwhile: a second
 *           start by the same clock is in doubt, too; what left by then moves with a step, because its times
 *           come from this start alone
 *
 * While a step stands or a start is in doubt nothing expires for good: no secret is
 * destroyed, and no idempotency key is forgotten.
 */
import { uptime } from 'node:os';

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** What it may follow at once; as much comes again in an hour, so that no hour has more than a minute. */
const FOLLOWED_MAX_MS = MINUTE_MS / 2;

/** What it goes by, in milliseconds. */
export interface Time {
  /** Since 1970, as the system has it. */
  system(): number;
  /** Since any moment, also while the machine is suspended; never set. It may lack a sleep of the last second. */
  elapsed(): number;
  /** From now on no sleep is missing. */
  wake(): void;
}

/** What a look has found. */
export interface Look {
  /** A step that begins to stand, in ms. */
  readonly began?: number;
  /** The step that stood is over: the system's clock agrees again. */
  readonly isOver?: true;
  /** The step that is to be taken now. */
  readonly due?: number;
}

interface Step {
  readonly sizeMs: number;
  readonly since: number;
  lookedAt: number;
}

export class OwnClock {
  readonly #time: Time;
  readonly #saved: number | undefined;
  readonly #startedAt: number;
  readonly #isDoubtful: boolean;
  /** Of `elapsed` to the own time. */
  #offset: number;
  #step: Step | undefined;
  #followed = FOLLOWED_MAX_MS;
  #followedAt: number;

  /** `saved`: the own time that a run before saved last. */
  constructor(saved?: number, time: Time = new SystemTime()) {
    this.#time = time;
    this.#saved = saved;
    this.#startedAt = time.elapsed();
    this.#followedAt = this.#startedAt;
    this.#offset = time.system() - this.#startedAt;
    const { now } = this;
    this.#isDoubtful = saved !== undefined && (now < saved || now > saved + HOUR_MS);
  }

  /** Milliseconds since 1970, a whole number. A sleep of the last second may be missing. */
  get now(): number {
    return Math.round(this.#time.elapsed() + this.#offset);
  }

  /** The same, for what begins now: no sleep of the last second is missing. Costs some 15 us. */
  get exact(): number {
    this.#time.wake();
    return this.now;
  }

  /** As late as it may be: what was valid until a time that the run before had come to is over. */
  get latest(): number {
    const saved = this.isInDoubt ? (this.#saved ?? 0) : 0;
    return Math.max(this.now, Math.round(saved + this.#time.elapsed() - this.#startedAt));
  }

  /** When this start was, by what it goes by now. At most: a drift may have been followed since. */
  get began(): number {
    return Math.floor(this.#startedAt + this.#offset) - MINUTE_MS;
  }

  /** Whether this start is in doubt, in its first hour. */
  get isInDoubt(): boolean {
    return this.#isDoubtful && this.#time.elapsed() - this.#startedAt < HOUR_MS;
  }

  /** Whether something that began `at` and lasts `ms` has expired. Never while it may be wrong. */
  isOver(at: number, ms: number): boolean {
    return this.isSettled && this.now - at > ms;
  }

  /** Whether what ends by this clock may end for good. */
  get isSettled(): boolean {
    return this.#step === undefined && !this.isInDoubt;
  }

  /** A time that another thread read off the system's clock, as it is recorded. */
  recorded(at: number): number {
    if (Math.abs(at - this.now) <= MINUTE_MS) return at;
    // The machine may have slept, and that thread was awake first.
    this.#time.wake();
    const { now } = this;
    return Math.abs(at - now) <= MINUTE_MS ? at : now;
  }

  /** A time out of the journals of a run before: it lies between the last that was saved and now. */
  recovered(at: number): number {
    const { now } = this;
    const isOfThen = at >= (this.#saved ?? now) - MINUTE_MS && at <= now + MINUTE_MS;
    return isOfThen ? at : now;
  }

  /** Once a second. What is `due` is taken by `take`, or comes again with the next look. */
  look(): Look {
    // What looks like a step may be a sleep that nobody has looked at.
    if (Math.abs(this.#time.system() - this.now) > MINUTE_MS) this.#time.wake();
    const elapsed = this.#time.elapsed();
    const sizeMs = Math.round(this.#time.system() - elapsed - this.#offset);
    if (Math.abs(sizeMs) <= MINUTE_MS) {
      const isOver = this.#step !== undefined;
      this.#step = undefined;
      this.#follow(sizeMs, elapsed);
      return isOver ? { isOver } : {};
    }
    const before = this.#step;
    const isSame = before !== undefined && Math.abs(sizeMs - before.sizeMs) <= MINUTE_MS;
    const hasStood = isSame && elapsed - before.lookedAt <= MINUTE_MS;
    const step = hasStood ? before : { sizeMs, since: elapsed, lookedAt: elapsed };
    step.lookedAt = elapsed;
    this.#step = step;
    const isDue = this.isInDoubt || elapsed - step.since >= HOUR_MS;
    return { ...(!isSame && { began: sizeMs }), ...(isDue && { due: sizeMs }) };
  }

  /** After what goes by this clock was moved by as much. */
  take(stepMs: number): void {
    this.#offset += stepMs;
    this.#step = undefined;
  }

  #follow(driftMs: number, elapsed: number): void {
    const more = ((elapsed - this.#followedAt) / HOUR_MS) * FOLLOWED_MAX_MS;
    this.#followed = Math.min(this.#followed + more, FOLLOWED_MAX_MS);
    this.#followedAt = elapsed;
    const ms = Math.min(Math.abs(driftMs), this.#followed);
    this.#offset += Math.sign(driftMs) * ms;
    this.#followed -= ms;
  }
}

/** The system's own. What passes while it is suspended is in its uptime alone, looked at each second. */
export class SystemTime implements Time {
  readonly #uptimeMs = uptime() * SECOND_MS;
  readonly #startedAt = performance.now();
  #lookedAt = this.#startedAt;
  #suspendedMs = 0;

  system(): number {
    return Date.now();
  }

  elapsed(): number {
    const now = performance.now();
    if (now - this.#lookedAt >= SECOND_MS) this.wake();
    return now + this.#suspendedMs;
  }

  wake(): void {
    const now = performance.now();
    this.#lookedAt = now;
    const missingMs = uptime() * SECOND_MS - this.#uptimeMs - (now - this.#startedAt);
    // The uptime has hundredths of a second at best.
    if (missingMs - this.#suspendedMs > SECOND_MS) this.#suspendedMs = missingMs;
  }
}
