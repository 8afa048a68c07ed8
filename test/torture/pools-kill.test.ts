/**
 * A server with two HTTP threads, in a long form four, is killed (SIGKILL) again and again while pools are made, paused,
 * and deleted, under clients that dispense from all of them. After each start a pool is there if its
 * making was the last that was answered, and gone if its deletion was; what was not answered is one or
 * the other. Over all lives no address comes twice, none of a deleted pool comes after the answer,
 * and every figure is exact. `TORTURE_CYCLES` sets how often; `TORTURE_SEED` draws the moments and
 * the changes again, though not how threads and processes take turns.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { randomOf } from '../support/sequence.ts';
import {
  assertIdentity,
  type Handed,
  type PoolFigures,
  type Server,
  Workspace,
} from '../support/server.ts';
import { checkStore, withDatabase } from '../support/sqlite-stores.ts';

const CYCLES = Number(process.env.TORTURE_CYCLES ?? 2);
const SEED = Number(process.env.TORTURE_SEED ?? Date.now() % 2 ** 31);
const NAMES = ['a', 'b', 'c', 'd'];
const CLIENTS = 3;
const THREADS = process.env.TORTURE_CYCLES === undefined ? 2 : 4;
const LOAD_MIN_MS = 300;
const LOAD_MAX_MS = 1500;
/** Between two changes of one pool: some addresses come in meanwhile. */
const REST_MAX_MS = 400;

/** What the clients know of a pool, by the last answer that they got. */
type Known = 'there' | 'paused' | 'gone' | 'either';

class Lives {
  readonly workspace = new Workspace();
  readonly random = randomOf(SEED);
  readonly known = new Map<string, Known>(NAMES.map((name) => [name, 'gone']));
  readonly addresses = new Set<string>();
  /** Received of each pool. */
  readonly received = new Map<string, number>(NAMES.map((name) => [name, 0]));
  readonly changes = { made: 0, deleted: 0, cut: 0, unknown: 0 };
  #token = '';
  #isKilled = false;
  /** Changes that are asked for and not answered. */
  #changing = 0;

  constructor() {
    // The portable kernel has no tables to build: it grinds from the start.
    this.workspace.environment = { VANITYPOOL_ISA: 'js' };
  }

  /** A change may be answered before a kill after all. */
  get hasMetAll(): boolean {
    const { made, deleted, cut } = this.changes;
    return made > 0 && deleted > 0 && cut > 0 && this.addresses.size > 0;
  }

  configure(durability: string): void {
    const lines = ['[http]', `threads = ${THREADS}`, '[store]', `durability = "${durability}"`];
    this.workspace.configure([{ name: 'pet', suffix: 't', target: 1 }], ...lines);
  }

  async live(): Promise<void> {
    const server = await this.workspace.serve();
    this.#token = readFileSync(join(this.workspace.data, 'admin.token'), 'utf8').trim();
    await this.#compare(server);
    const kill = async (): Promise<void> => {
      await sleep(this.random(LOAD_MIN_MS, LOAD_MAX_MS));
      // However few changes a busy machine makes: one is seen to the end.
      while (this.changes.deleted === 0) await sleep(20);
      // In the middle of a change, however short those are here.
      while (this.#changing === 0) await nextTurn();
      this.#isKilled = true;
      await server.kill('SIGKILL');
    };
    this.#isKilled = false;
    const killed = kill();
    const changers = NAMES.map((name) => this.#change(server, name));
    const clients = Array.from({ length: CLIENTS }, () => this.#load(server));
    await Promise.all([killed, ...changers, ...clients]);
  }

  /** What the server has is what the clients know. */
  async #compare(server: Server): Promise<void> {
    const { pools } = await server.get<{
      pools: (PoolFigures & { name: string; paused: boolean })[];
    }>('/v1/pools');
    for (const name of NAMES) {
      const pool = pools.find((one) => one.name === name);
      const known = this.known.get(name)!;
      const is = pool === undefined ? 'gone' : pool.paused ? 'paused' : 'there';
      if (known !== 'either') assert.equal(is, known, `pool ${name}`);
      else this.changes.unknown++;
      this.known.set(name, is);
      if (pool !== undefined) assertIdentity(pool);
    }
    for (const { name, dispensed, burned, deleted } of figures(this.workspace.data)) {
      assert.equal(burned, deleted, `pool ${name}: burned by deletions alone`);
      const received = this.received.get(name) ?? 0;
      assert.ok(dispensed >= received, `pool ${name}: ${dispensed} of ${received} received`);
    }
  }

  /** Makes, pauses, resumes and deletes one pool until the server is gone. */
  async #change(server: Server, name: string): Promise<void> {
    for (;;) {
      await sleep(this.random(0, REST_MAX_MS));
      // What it does not hear of changes nothing.
      if (this.#isKilled) return;
      const was = this.known.get(name)!;
      this.known.set(name, 'either');
      let is: Known;
      this.#changing++;
      try {
        is = await this.#step(server, name, was);
      } catch (error) {
        if (!isCutOff(error)) throw error;
        this.changes.cut++;
        return;
      } finally {
        this.#changing--;
      }
      this.known.set(name, is);
      if (is === 'gone') {
        const code = await this.#dispense(server, name).catch(cutOff);
        assert.ok(code === 'POOL_NOT_FOUND' || code === undefined, `${name}: ${code}`);
      }
    }
  }

  async #step(server: Server, name: string, was: Known): Promise<Known> {
    if (was === 'gone') {
      const body = { name, suffix: 'x', target: 300, readyMax: 100, ready: 50 };
      await this.#ask(server, 'POST', '/v1/pools', 201, body);
      this.changes.made++;
      return 'there';
    }
    const path = `/v1/pools/${name}`;
    if (this.random(1, 3) === 1) {
      const verb = was === 'paused' ? 'resume' : 'pause';
      await this.#ask(server, 'POST', `${path}/${verb}`, 200);
      return verb === 'pause' ? 'paused' : 'there';
    }
    await this.#ask(server, 'DELETE', path, 200, { burn: name });
    this.changes.deleted++;
    return 'gone';
  }

  async #load(server: Server): Promise<void> {
    for (;;) {
      const name = NAMES[this.random(0, NAMES.length - 1)]!;
      try {
        await this.#dispense(server, name);
      } catch (error) {
        if (!isCutOff(error)) throw error;
        return;
      }
    }
  }

  /** The code of a refusal; undefined when addresses came. */
  async #dispense(server: Server, pool: string): Promise<string | undefined> {
    const reply = await this.#send(server, 'POST', `/v1/pools/${pool}/dispense`, {
      count: this.random(1, 4),
    });
    if (reply.status !== 200) return reply.body.code as string;
    for (const { address } of reply.body.addresses as Handed[]) {
      assert.ok(!this.addresses.has(address), `${address} came twice`);
      this.addresses.add(address);
      this.received.set(pool, this.received.get(pool)! + 1);
    }
    return undefined;
  }

  async #ask(server: Server, method: string, path: string, status: number, body?: object) {
    const reply = await this.#send(server, method, path, body);
    assert.equal(reply.status, status, `${method} ${path}: ${JSON.stringify(reply.body)}`);
  }

  async #send({ url }: Server, method: string, path: string, body?: object) {
    const reply = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        connection: 'close',
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }).catch(asCutOff);
    const json = (await reply.json().catch(asCutOff)) as Record<string, unknown>;
    return { status: reply.status, body: json };
  }
}

/** The server went before it had answered in full. */
class CutOff extends Error {}

function asCutOff(cause: unknown): never {
  throw new CutOff('cut off', { cause });
}

function isCutOff(error: unknown): boolean {
  return error instanceof CutOff;
}

function cutOff(error: unknown): undefined {
  if (!isCutOff(error)) throw error;
}

interface StoredFigures {
  readonly name: string;
  readonly dispensed: number;
  readonly burned: number;
  /** Burned with their pool. */
  readonly deleted: number;
}

function figures(directory: string): StoredFigures[] {
  return withDatabase(directory, (db) =>
    db
      .prepare(`SELECT name, dispensed, burned, (
          SELECT coalesce(sum(last - first + 1), 0) FROM segments
          WHERE pool_id = pools.id AND cause = 'deleted') AS deleted
        FROM pools`)
      .all(),
  ) as unknown as StoredFigures[];
}

async function killAgainAndAgain(t: TestContext): Promise<void> {
  t.diagnostic(`TORTURE_SEED=${SEED}`);
  const lives = new Lives();
  await using workspace = lives.workspace;
  for (let cycle = 0; cycle < CYCLES || !lives.hasMetAll; cycle++) {
    lives.configure(lives.random(1, 4) === 1 ? 'committed' : 'leased');
    await lives.live();
    checkStore(workspace.data);
  }
  const server = await workspace.serve();
  assert.equal(await server.kill('SIGTERM'), 0, server.output);
  checkStore(workspace.data);
  const { made, deleted, cut, unknown } = lives.changes;
  t.diagnostic(
    `${made} made, ${deleted} deleted, ${cut} cut off, ${unknown} unknown; ${lives.addresses.size} received`,
  );
}

test(
  `killed ${CYCLES} times while pools come and go`,
  { timeout: (300 + CYCLES * 10) * 1000 },
  killAgainAndAgain,
);
