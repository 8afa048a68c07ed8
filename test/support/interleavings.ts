/**
 * Every interleaving of a few threads that share memory, in the manner of Rust's loom. A thread is
 * a function of a watched source (`shared-memory.ts`); each of its accesses is a step, and at each
 * step any thread may be next. A thread that is not chosen again is dead: what `Judge.everywhere`
 * says of every moment, it says of a death of any threads at any step.
 *
 * A thread goes on by replay: its function runs again from the start with what it had found so far,
 * up to the first access beyond. This is done once per history, and the search runs over numbers: a
 * state is the memory, the order of accesses and the history of each thread, and is visited once.
 *
 * What it covers of the ECMAScript memory model. Atomic accesses are sequentially consistent
 * there, as here. A plain read may find there what no interleaving shows, but only of writes that
 * are not ordered with it: a race, and `access-order.ts` finds every race in every interleaving.
 * To end an operation that relies on one is a Violation. One that drops it, as its compare-
 * exchange fails, has rubbish put in its place, and must do the same next. So executions differ
 * from interleavings in values that nobody keeps: the program acts as one without data races, and
 * those have no executions but sequentially consistent ones. Not covered: waiting and notifying,
 * an engine that breaks its memory model, and more threads, operations or addresses than are
 * given.
 */
import { AccessOrder } from './access-order.ts';
import {
  type Access,
  Alone,
  type Found,
  type Host,
  type Memory,
  outside,
  Violation,
  type WatchedSource,
} from './shared-memory.ts';

const STEPS_MAX = 200;
const SUSPENDED = Symbol('suspended');

export interface Thread<T, Outcome> {
  readonly name: string;
  /** Does its operations one after the other and reports what comes of each. */
  run(declared: T, buffer: SharedArrayBuffer, report: Report<Outcome>): void;
  /** Starts when that thread, by its index, has ended or died. */
  readonly after?: number;
}

/** `keeps` is the object of the source that the thread goes on with. */
export type Report<Outcome> = (outcome: Outcome, keeps: object) => void;

export interface Judge<Outcome> {
  /**
   * A number that is carried along while an operation of `thread` goes on: from `undefined` before
   * its first step on, after each step of any thread. `outcomes` are those of all threads.
   */
  witness(thread: number, before: number | undefined, outcomes: Outcomes<Outcome>): number;
  /** An operation has ended. `outcomes` are those before it. */
  end(
    thread: number,
    outcome: Outcome,
    witness: number,
    outcomes: Outcomes<Outcome>,
    memory: Memory,
  ): void;
  /** Any moment. Equal `memoryId` means equal memory. */
  everywhere(outcomes: Outcomes<Outcome>, memory: Memory, memoryId: number): void;
}

export type Outcomes<Outcome> = readonly (readonly Outcome[])[];

export interface Plan<T, Outcome> {
  readonly source: WatchedSource<T>;
  readonly memory: Memory;
  readonly threads: readonly Thread<T, Outcome>[];
  readonly judge: Judge<Outcome>;
  /** Bytes before this never change: to read them is no step, to write them a Violation. */
  readonly constant: number;
  /** From this byte on it may not matter for what a thread does next what a racy read finds. */
  readonly steerless: number;
}

export interface Explored {
  readonly states: number;
  /** Different ways through them. */
  readonly schedules: number;
  /** Different things that a thread can live through, summed over the threads. */
  readonly histories: number;
}

/** All that one thread has done and found, and what it does next. */
interface History<Outcome> {
  readonly id: number;
  readonly found: readonly Found[];
  readonly outcomes: readonly Outcome[];
  /** Undefined at its end. */
  readonly next: Access | undefined;
  /** The steps of the operation that goes on; none if `next` is its first. */
  readonly steps: readonly Access[];
  readonly followers: Map<Found, History<Outcome>>;
}

interface State<Outcome> {
  readonly memory: number;
  readonly order: AccessOrder;
  readonly histories: readonly History<Outcome>[];
  readonly witnesses: readonly number[];
  /** Those whose death another thread waits for, a bit each. */
  readonly dead: number;
}

/** Explores all of `plan`. Violation, with the steps that led there, if a promise does not hold. */
export function explore<T, Outcome>(plan: Plan<T, Outcome>): Explored {
  return new Search(plan).run();
}

class Search<T, Outcome> {
  readonly #plan: Plan<T, Outcome>;
  readonly #memories: Memory[] = [];
  readonly #memoryIds = new Map<string, number>();
  readonly #orders = new Map<string, AccessOrder>();
  readonly #orderIds = new Map<AccessOrder, number>();
  readonly #orderSteps = new Map<string, AccessOrder>();
  /**
   * Histories that stand for others from which the same follows: with the same outcomes and the
   * same object kept, or with the same found but for rubbish. Without this there are eight times
   * as many states.
   */
  readonly #merged = new Map<string, History<Outcome>>();
  /** To each history the one in which what it has read plainly is rubbish. */
  readonly #spoils = new Map<History<Outcome>, History<Outcome>>();
  /** By state: how many ways lead on from it to an end. */
  readonly #ways = new Map<string, number>();
  readonly #path: string[] = [];
  #histories = 0;

  constructor(plan: Plan<T, Outcome>) {
    this.#plan = plan;
  }

  run(): Explored {
    const { memory, threads } = this.#plan;
    try {
      const schedules = this.#visit({
        memory: this.#memoryId(memory.copy()),
        order: this.#known(AccessOrder.start(threads.length, memory.bytes.length)),
        histories: threads.map((_, thread) => this.#replay(thread, [], []).history),
        witnesses: threads.map(() => 0),
        dead: 0,
      });
      return { states: this.#ways.size, schedules, histories: this.#histories };
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      throw new Violation(`${error.message}\n  ${this.#path.join('\n  ')}`);
    }
  }

  #visit(state: State<Outcome>): number {
    const key = this.#key(state);
    const known = this.#ways.get(key);
    if (known !== undefined) return known;
    const { judge, threads } = this.#plan;
    const outcomes = state.histories.map((history) => history.outcomes);
    judge.everywhere(outcomes, this.#memories[state.memory]!, state.memory);
    let ways = 0;
    for (const [thread, { name, after }] of threads.entries()) {
      const { next } = state.histories[thread]!;
      if (next === undefined || state.dead & (1 << thread)) continue;
      if (after !== undefined && !this.#isGone(state, after)) continue;
      this.#path.push(`${name}: ${next.text}`);
      ways += this.#visit(this.#step(state, thread, next));
      this.#path.pop();
      if (!threads.some((other) => other.after === thread)) continue;
      this.#path.push(`${name}: dies`);
      ways += this.#visit({ ...state, dead: state.dead | (1 << thread) });
      this.#path.pop();
    }
    this.#ways.set(key, Math.max(ways, 1));
    return Math.max(ways, 1);
  }

  #step(state: State<Outcome>, thread: number, access: Access): State<Outcome> {
    const { judge } = this.#plan;
    const isReading = access.kind === 'read' || access.kind === 'load';
    const memory = this.#memories[state.memory]!;
    const written = isReading ? memory : memory.copy();
    const found = access.perform(written);
    const wrote = access.wrote(found);

    const history = state.histories[thread]!;
    const order = this.#order(state.order, thread, history, wrote);
    const follower = this.#follower(thread, history, found);
    const before = state.histories.map((each) => each.outcomes);
    const isFirst = history.steps.length === 0;
    const witness = isFirst ? judge.witness(thread, undefined, before) : state.witnesses[thread]!;
    for (const outcome of follower.outcomes.slice(before[thread]!.length)) {
      order.end(thread);
      judge.end(thread, outcome, witness, before, written);
    }
    const histories = state.histories
      .with(thread, follower)
      .map((each, index) => (order.isRacy(index) ? this.#spoilt(index, each) : each));
    const outcomes = histories.map((each) => each.outcomes);
    const witnesses = histories.map((each, index) => {
      if (each.steps.length === 0) return 0;
      return judge.witness(index, index === thread ? witness : state.witnesses[index]!, outcomes);
    });
    const memoryId = wrote ? this.#memoryId(written) : state.memory;
    return { memory: memoryId, order, histories, witnesses, dead: state.dead };
  }

  /** `history` after its next access has found `found`. */
  #follower(thread: number, history: History<Outcome>, found: Found): History<Outcome> {
    const known = history.followers.get(found);
    if (known !== undefined) return known;
    const next = history.next!;
    const steps = [...history.steps, next];
    const replayed = this.#replay(thread, [...history.found, found], steps);
    let follower = replayed.history;
    if (follower.steps.length === 0) {
      const key = `ended ${thread} ${replayed.kept} ${JSON.stringify(follower.outcomes)}`;
      follower = this.#merged.get(key) ?? follower;
      this.#merged.set(key, follower);
    } else if (next.kind === 'exchange' && !next.wrote(found)) {
      follower = this.#spoilt(thread, follower);
    }
    history.followers.set(found, follower);
    return follower;
  }

  /** `history` with rubbish for what its operation has read plainly. */
  #spoilt(thread: number, history: History<Outcome>): History<Outcome> {
    const known = this.#spoils.get(history);
    if (known !== undefined) return known;
    const { name } = this.#plan.threads[thread]!;
    const first = history.found.length - history.steps.length;
    const found = history.found.map((each, at) => {
      const step = history.steps[at - first];
      if (step?.kind !== 'read' || step.from < this.#plan.steerless) return each;
      return typeof each === 'string' ? '?'.repeat(each.length) : -1;
    });
    const key = `spoilt ${thread} ${JSON.stringify(found)}`;
    const spoilt = this.#merged.get(key) ?? this.#replay(thread, found, history.steps).history;
    if (spoilt.next?.text !== history.next?.text) {
      throw new Violation(`${name}: does something else for what it finds where others write`);
    }
    this.#merged.set(key, spoilt);
    this.#spoils.set(history, spoilt);
    this.#spoils.set(spoilt, spoilt);
    return spoilt;
  }

  /** Runs `thread` up to the access that follows after it has found `found`. */
  #replay(
    thread: number,
    found: readonly Found[],
    steps: readonly Access[],
  ): { history: History<Outcome>; kept: string } {
    const { source, memory, threads, constant } = this.#plan;
    const { name, run } = threads[thread]!;
    if (found.length > STEPS_MAX) throw new Violation(`${name}: does not end`);
    const unchanging = new Alone(memory);
    const outcomes: Outcome[] = [];
    let next: Access | undefined;
    let done = 0;
    let doneAtReport = 0;
    let kept = '';
    const host: Host = {
      access(access) {
        if (access.from < constant && access.kind === 'read') return unchanging.access(access);
        if (access.from < constant || access.to > memory.bytes.length) throw outside(access);
        if (done < found.length) return found[done++]!;
        next = access;
        throw SUSPENDED;
      },
      allocate() {
        throw new Violation(`${name}: asks for shared memory of its own`);
      },
    };
    const report: Report<Outcome> = (outcome, keeps) => {
      doneAtReport = done;
      outcomes.push(outcome);
      kept = source.show(keeps);
    };
    try {
      const buffer = source.buffer(memory.bytes.length);
      source.run(host, (declared) => run(declared, buffer, report));
    } catch (error) {
      if (error instanceof Violation) throw error;
      if (error !== SUSPENDED) throw new Violation(`${name}: ${error}`);
    }
    const id = this.#histories++;
    const ongoing = doneAtReport === done ? [] : steps;
    return { history: { id, found, outcomes, next, steps: ongoing, followers: new Map() }, kept };
  }

  #isGone(state: State<Outcome>, thread: number): boolean {
    const isDead = (state.dead & (1 << thread)) !== 0;
    return isDead || state.histories[thread]!.next === undefined;
  }

  /** What is ordered after the next step of `history`, which wrote or did not. */
  #order(
    before: AccessOrder,
    thread: number,
    history: History<Outcome>,
    wrote: boolean,
  ): AccessOrder {
    const key = `${this.#orderIds.get(before)} ${history.id} ${wrote}`;
    let order = this.#orderSteps.get(key);
    if (order === undefined) {
      const { after } = this.#plan.threads[thread]!;
      const isFirst = history.found.length === 0 && after !== undefined;
      const start = isFirst ? before.follow(thread, after) : before;
      order = this.#known(start.step(thread, history.next!, wrote));
      this.#orderSteps.set(key, order);
    }
    return order;
  }

  /** The one object that stands for all orders that are the same. */
  #known(order: AccessOrder): AccessOrder {
    const known = this.#orders.get(order.key);
    if (known !== undefined) return known;
    this.#orders.set(order.key, order);
    this.#orderIds.set(order, this.#orderIds.size);
    return order;
  }

  #key({ memory, order, histories, witnesses, dead }: State<Outcome>): string {
    const places = histories.map(({ id }, thread) => `${id}:${witnesses[thread]}`);
    return `${memory} ${this.#orderIds.get(order)} ${dead} ${places.join(' ')}`;
  }

  #memoryId(memory: Memory): number {
    const text = memory.text;
    const id = this.#memoryIds.get(text) ?? this.#memories.length;
    if (id === this.#memories.length) {
      this.#memories.push(memory);
      this.#memoryIds.set(text, id);
    }
    return id;
  }
}
