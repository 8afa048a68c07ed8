/**
 * A real server whose data directory is copied, changed and put back by a test: what leaves it is
 * remembered over all its lives, and a start is either refused and changes nothing, or hands out
 * nothing that has left before. What concerns the store alone is asked by commands, `AtRest`: they
 * open it as a start does, and cost next to nothing.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome } from './cli.ts';
import { vanitypoolHere } from './cli-here.ts';
import { copyOf, lossesSince, removeJournalsBelow } from './copies.ts';
import { assertIdentity, type Handed, Server, Workspace } from './server.ts';
import { checkStore, openStoreIn, withDatabase } from './sqlite-stores.ts';
import { hitsFor, poolNamed } from './store-subject.ts';

/** So small that it is ground in a moment, and refilled often: `ready_max` pops never go without. */
export const SMALL_POOL = { name: 'pet', suffix: 't', target: 300, ready: 32, ready_max: 64 };
/** So many are ready at least, when there are more in the store. */
const READY_MIN = SMALL_POOL.ready / 2;
const POLL_MS = 20;
/** Lives that are not to grind: what is left is what was there. */
export const IDLE = ['--threads', '0'] as const;
/** Looks at the figures, one after the other, that find no change. */
const QUIET_LOOKS = 10;
const KEPT = ['id', 'address', 'secretKey'] as const;
const MOVED = /adopt --moved.*adopt --restored.*DATA_MOVED/;

export class Tampering implements AsyncDisposable {
  readonly workspace = new Workspace();
  /** By whatever server here. */
  readonly handed: Handed[] = [];
  readonly #servers: Server[] = [];
  /** The working directory is that of the process. */
  static #last: Promise<unknown> = Promise.resolve();

  constructor(...lines: string[]) {
    this.configure(...lines);
  }

  /** Lines of other sections of the configuration. */
  configure(...lines: string[]): void {
    this.workspace.configure([SMALL_POOL], ...lines);
  }

  get data(): string {
    return this.workspace.data;
  }

  path(name: string): string {
    return join(this.workspace.path, name);
  }

  async serve(...args: string[]): Promise<Server> {
    const server = new Server(this.workspace, args);
    this.#servers.push(server);
    await server.listening;
    return server;
  }

  /** A first life, until the pool is full. */
  async full(...args: string[]): Promise<Server> {
    const server = await this.serve(...args);
    const { target } = SMALL_POOL;
    await server.until(
      ({ available, leased, ready }) => available + leased >= target && ready >= READY_MIN,
    );
    return server;
  }

  /** A store with so many, made without a server. */
  async made(count: number): Promise<void> {
    await using store = await openStoreIn(this.data);
    await store.definePool(poolNamed(SMALL_POOL.name));
    await store.insert(hitsFor(SMALL_POOL.name, count));
  }

  async take(server: Server, count: number): Promise<void> {
    this.handed.push(...(await server.dispense(count)));
  }

  /** One after the other, so that the queue is refilled meanwhile. */
  async takeEach(server: Server, count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      try {
        await this.take(server, 1);
        left--;
      } catch (error) {
        // It is ground and refilled, sooner or later.
        assert.equal((error as Error).message, 'POOL_EMPTY');
        await sleep(POLL_MS);
      }
    }
  }

  /** With an idempotency key; the text of the reply. */
  async ask(server: Server, key: string, count = 1): Promise<string> {
    const { status, text, body } = await server.ask('POST', '/v1/pools/pet/dispense', {
      key,
      body: { count },
    });
    assert.equal(status, 200, text);
    this.handed.push(...(body.addresses as Handed[]));
    return text;
  }

  /** The same again: no address more. */
  async askAgain(server: Server, key: string, count = 1): Promise<string> {
    const before = this.handed.length;
    const text = await this.ask(server, key, count);
    this.handed.length = before;
    return text;
  }

  /** In this process, one at a time. */
  run(...args: string[]): Promise<Outcome> {
    const outcome = Tampering.#last.then(() => this.#run(args));
    Tampering.#last = outcome.catch(() => undefined);
    return outcome;
  }

  async #run(args: readonly string[]): Promise<Outcome> {
    const before = process.cwd();
    process.chdir(this.workspace.path);
    try {
      return await vanitypoolHere(args, this.workspace.environment);
    } finally {
      process.chdir(before);
    }
  }

  /** With success. */
  async done(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** A start that may be refused: the server, or what it said. */
  async tryToServe(...args: string[]): Promise<Server | string> {
    const server = new Server(this.workspace, args);
    this.#servers.push(server);
    try {
      await server.listening;
      return server;
    } catch {
      assert.equal(await server.exited, 1, server.output);
      return server.output;
    }
  }

  /** A start that has to be refused, without a change in `data`. */
  async refusal(code: RegExp, data = this.data): Promise<string> {
    const before = copyOf(data);
    const started = await this.tryToServe('--data', data, ...IDLE);
    if (typeof started !== 'string') assert.fail(`it is not refused; ${await this.harm(started)}`);
    assert.match(started, code);
    assert.deepEqual(lossesSince(before, data), [], 'a refused start changes nothing');
    return started;
  }

  /** DATA_MOVED with its two remedies. */
  refusalAsMoved(data = this.data): Promise<string> {
    return this.refusal(MOVED, data);
  }

  /** The same of a store that a command opens as a start does, which costs a twentieth of one. */
  async refusalAtRest(code = MOVED, data = this.data): Promise<string> {
    const before = copyOf(data);
    const rest = await this.restAtRest(data);
    if (typeof rest !== 'string') assert.fail(`it is not refused; ${this.harmOf(rest)}`);
    assert.match(rest, code);
    assert.deepEqual(lossesSince(before, data), [], 'what is refused changes nothing');
    return rest;
  }

  /** Until its queue is filled, all that left is recorded, and nothing happens any more. */
  async quiet(server: Server): Promise<void> {
    let before = '';
    let same = 0;
    await server.until((figures) => {
      const now = JSON.stringify(figures);
      same = now === before && figures.ready >= READY_MIN ? same + 1 : 0;
      before = now;
      return same >= QUIET_LOOKS;
    });
  }

  /** How often it warns of the witness, by that word or by where it lies. */
  warningsOfWitness({ log }: Server): number {
    const texts = log.filter(({ level }) => level === 'warn').map((one) => JSON.stringify(one));
    const { state } = this.workspace;
    return texts.filter((text) => /witness/i.test(text) || text.includes(state)).length;
  }

  /** What a server that should have been refused hands out, in words. */
  async harm(server: Server): Promise<string> {
    const out = await this.rest(server);
    await server.kill('SIGKILL');
    return this.harmOf(out);
  }

  harmOf(out: readonly Handed[]): string {
    const before = new Set(this.handed.map(({ address }) => address));
    const twice = out.filter(({ address }) => before.has(address)).length;
    return `${twice} of ${before.size} that had left come out again`;
  }

  /** All that a server without a grinder can still hand out. */
  async rest(server: Server): Promise<Handed[]> {
    const out: Handed[] = [];
    const { available, leased } = await server.pool();
    for (let left = available + leased; left > 0; left -= 1000) {
      out.push(...(await server.dispense(Math.min(left, 1000))));
    }
    return out;
  }

  /** Hands out all that is left, of which nothing came before. */
  async exhaust(server: Server): Promise<void> {
    this.handed.push(...(await this.rest(server)));
    this.assertOnce();
    assertIdentity(await server.pool());
  }

  /** So many, without a server: the store is opened as a start opens it, and settles what is to be. */
  async takeAtRest(count: number, ...args: string[]): Promise<Handed[]> {
    const out = await this.done('dispense', 'pet', '--count', `${count}`, ...args);
    const handed = handedIn(out);
    this.handed.push(...handed);
    return handed;
  }

  /** The same as for this reply, without a server: no address more. */
  async askAgainAtRest(reply: string, key: string, data = this.data): Promise<void> {
    const { addresses } = JSON.parse(reply) as { addresses: Handed[] };
    const count = addresses.length;
    const again = await this.takeAtRest(count, '--key', key, '--data', data);
    this.handed.length -= count;
    for (const field of KEPT) {
      assert.deepEqual(
        again.map((one) => one[field]),
        addresses.map((one) => one[field]),
      );
    }
  }

  /** All that can be handed out without a server; or why the store is refused. */
  async restAtRest(data = this.data): Promise<Handed[] | string> {
    const out: Handed[] = [];
    for (let count = 1; count > 0; count = Math.min(availableIn(data), 1000)) {
      const args = ['dispense', 'pet', '--count', `${count}`, '--data', data];
      const { code, stdout, stderr } = await this.run(...args);
      assert.doesNotMatch(stderr, /POOL_NOT_FOUND/);
      if (out.length === 0 && stderr.includes('POOL_EMPTY')) return out;
      if (code !== 0 && out.length === 0) return stderr;
      assert.equal(code, 0, stderr);
      out.push(...handedIn(stdout));
    }
    return out;
  }

  /** Without a server: nothing was given up, and of all that is left nothing came before. */
  async exhaustAtRest(data = this.data): Promise<void> {
    await this.#drainAtRest(data);
    assert.equal(this.burnedAtRest(data), 0);
  }

  /** Of a store that was opened and closed. */
  burnedAtRest(data = this.data): number {
    return withDatabase(data, (db) => {
      const { burned, leased } = db.prepare('SELECT burned, leased FROM pools').get()!;
      assert.equal(leased, 0);
      return Number(burned);
    });
  }

  async #drainAtRest(data = this.data): Promise<void> {
    const rest = await this.restAtRest(data);
    if (typeof rest === 'string') assert.fail(`it is refused: ${rest}`);
    this.handed.push(...rest);
    this.assertOnce();
    checkStore(data);
  }

  assertOnce(): void {
    for (const field of KEPT) {
      const values = new Set(this.handed.map((handed) => handed[field]));
      assert.equal(values.size, this.handed.length, `an ${field} came twice`);
    }
  }

  /** `adopt --restored`, then all that is left, and what is ground anew. */
  async restoreAndGoOn(): Promise<void> {
    assert.match(await this.done('adopt', '--restored'), /^adopted .*data\npool pet: \d+ burned\n/);
    const server = await this.full();
    await this.takeEach(server, 20);
    await server.kill('SIGTERM');
    await this.#drainAtRest();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.kill('SIGKILL');
    removeJournalsBelow(this.workspace.path);
    try {
      // What a test left immutable.
      execFileSync('chattr', ['-R', '-i', this.workspace.path], { stdio: 'ignore' });
    } catch {
      // Nothing is, where that cannot be.
    }
    rmSync(this.workspace.path, { recursive: true, force: true });
    await this.workspace[Symbol.asyncDispose]();
  }
}

/** Of what `vanitypool dispense` printed. */
function handedIn(text: string): Handed[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Handed);
}

/** Of a store that was opened and closed. */
function availableIn(data: string): number {
  return withDatabase(data, (db) => {
    const { available, leased } = db.prepare('SELECT available, leased FROM pools').get()!;
    assert.equal(leased, 0);
    return Number(available);
  });
}

/** The lines of a server's log that say that a run before it did not stop cleanly, by their figures. */
export function settledBy({ log }: Server): unknown[] {
  const lines = log.filter(({ msg }) => msg === 'the last run did not stop cleanly');
  return lines.map(({ dispensed, returned, burned }) => ({ dispensed, returned, burned }));
}

/** Of a start that settled something or nothing, but gave up no address. */
export async function assertNothingBurned(server: Server): Promise<void> {
  const burned = settledBy(server).filter((line) => (line as { burned: number }).burned !== 0);
  assert.deepEqual(burned, [], server.output);
  assert.equal((await server.pool()).burned, 0);
}
