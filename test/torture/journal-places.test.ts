/**
 * Where the dispense journals of a real server lie (`store.journal`), and that they are there after a
 * kill: in memory that outlives the process, or else, as in a container or where that memory is
 * too small, in the data directory. Either way nothing is burned and every key has its reply.
 * Namespaces take root; without them a test says why it is skipped.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { vanitypool } from '../support/cli.ts';
import { journalsOf } from '../support/copies.ts';
import {
  forkedBy,
  fullAt,
  killWhole,
  noNamespaces,
  ownMemory,
  smallMemory,
} from '../support/namespaces.ts';
import { DILIGENT, type Server } from '../support/server.ts';
import { assertNothingBurned, IDLE, SMALL_POOL, Tampering } from '../support/tampering.ts';

const LIMIT = { timeout: 300_000 };
const SKIP = { ...LIMIT, skip: noNamespaces() ?? false };
/** 16 pools whose addresses are ground in a moment. */
const SUFFIXES = 'abcdefghijkmnopq';
const RETRY_MS = 100;

function inData({ data }: Tampering): string[] {
  const directory = join(data, 'journal');
  return existsSync(directory) ? readdirSync(directory, { recursive: true }).map(String) : [];
}

const isJournal = (name: string) => name.endsWith('.journal');

/** Of the log, the lines that say all of this. */
function saying({ log }: Server, ...words: RegExp[]): string[] {
  const texts = log.map((entry) => JSON.stringify(entry));
  return texts.filter((text) => words.every((word) => word.test(text)));
}

/** Lives that end by SIGKILL, with a look at each: what is answered goes on, nothing is burned. */
async function lives(tampering: Tampering, ...looks: ((server: Server) => void)[]): Promise<void> {
  const replies = new Map<string, string>();
  for (const [life, look] of looks.entries()) {
    const server = life === 0 ? await tampering.full() : await tampering.serve(...IDLE);
    await assertNothingBurned(server);
    look(server);
    for (const [key, reply] of replies) {
      assert.equal(await tampering.askAgain(server, key, 2), reply);
    }
    await tampering.takeEach(server, 15);
    replies.set(`key ${life}`, await tampering.ask(server, `key ${life}`, 2));
    await killWhole(server);
  }
  for (const [key, reply] of replies) await tampering.askAgainAtRest(reply, key);
  await tampering.exhaustAtRest();
}

suite('`store.journal`', () => {
  test(
    'a kill burns nothing, and the journals lie where they should, whatever the life before had',
    LIMIT,
    async () => {
      await using tampering = new Tampering();
      const places = ['data', 'data', 'memory', 'auto'] as const;
      const configure = (life: number) =>
        tampering.configure('[store]', `journal = "${places[life] ?? 'auto'}"`);
      configure(0);
      const looks = places.map((place, life) => () => {
        const isInData = inData(tampering).some(isJournal);
        const isInMemory = journalsOf(tampering.data).length > 0;
        assert.notEqual(isInData, isInMemory, 'they lie in one place');
        if (place !== 'auto') assert.equal(isInData, place === 'data', place);
        // For the next one.
        configure(life + 1);
      });
      await lives(tampering, ...looks);
    },
  );

  test('it is one of three words', LIMIT, async () => {
    await using tampering = new Tampering('[store]', 'journal = "disk"');
    const { code, stderr } = await tampering.run('status');
    assert.equal(code, 2);
    assert.match(stderr, /store\.journal.*auto.*memory.*data/);
  });
});

suite('in namespaces', () => {
  test(
    'whose memory goes with it: "auto" takes the data directory, and says why',
    SKIP,
    async () => {
      await using tampering = new Tampering();
      tampering.workspace.launcher = ownMemory('64m');
      await lives(tampering, (server) => {
        assert.ok(inData(tampering).some(isJournal), 'they lie in the data directory');
        assert.equal(saying(server, /journal/i, /data/, /namespace/i).length, 1, server.output);
      });
    },
  );

  test('the same with a clean stop between', SKIP, async () => {
    await using tampering = new Tampering();
    tampering.workspace.launcher = ownMemory('64m');
    const server = await tampering.full();
    await tampering.takeEach(server, 15);
    process.kill(forkedBy(server), 'SIGTERM');
    assert.equal(await server.exited, 0, server.output);
    assert.deepEqual(inData(tampering).filter(isJournal), [], 'none is left');
    await tampering.exhaustAtRest();
  });

  test('of 64 MB: 16 pools are made and served', SKIP, async () => {
    await using tampering = new Tampering(...DILIGENT);
    tampering.workspace.launcher = smallMemory('64m');
    const server = await tampering.serve();
    const token = await tokenOf(tampering, server);
    for (const suffix of SUFFIXES) {
      const body = { name: `of-${suffix}`, suffix, target: 20 };
      const made = await server.ask('POST', '/v1/pools', { token, body });
      assert.equal(made.status, 201, made.text);
    }
    const replies = new Map<string, string>();
    for (const suffix of SUFFIXES) replies.set(suffix, await askUntil(server, suffix, token));
    await killWhole(server);
    // Memory of the same size, and empty, as after another start of the container.
    const again = await tampering.serve();
    assert.ok(again.log.every(({ level }) => level !== 'fatal'));
    assert.equal(new Set([...replies.values()]).size, SUFFIXES.length);
    for (const suffix of SUFFIXES) {
      const more = await askUntil(again, suffix, token, 'another');
      assert.notEqual(more, replies.get(suffix), 'it came before');
    }
    await killWhole(again);
  });

  test(
    'of 64 KB, with no room for the witness: a warning of each, and it serves',
    SKIP,
    async () => {
      await using tampering = new Tampering();
      // Journals of the default `ready_max`.
      const { name, suffix, target } = SMALL_POOL;
      tampering.workspace.configure([{ name, suffix, target }]);
      const { state } = tampering.workspace;
      tampering.workspace.launcher = [...smallMemory('64k'), ...fullAt(state)];
      await lives(tampering, (server) => {
        assert.ok(inData(tampering).some(isJournal), 'they lie in the data directory');
        const said = saying(server, /ready_max/, /--shm-size/, /committed/);
        assert.equal(said.length, 1, server.output);
        assert.match(said[0]!, /"level":"warn"/);
        assert.equal(tampering.warningsOfWitness(server), 1, server.output);
      });
    },
  );
});

/** The address of one dispense, as soon as one is ground. */
async function askUntil(
  server: Server,
  suffix: string,
  token: string,
  key = 'one',
): Promise<string> {
  for (;;) {
    const path = `/v1/pools/of-${suffix}/dispense`;
    const { status, text, body } = await server.ask('POST', path, { token, key });
    if (status === 200) return body.addresses[0].address;
    assert.equal(body.code, 'POOL_EMPTY', text);
    await sleep(RETRY_MS);
  }
}

async function tokenOf({ workspace }: Tampering, server: Server): Promise<string> {
  const scopes = ['admin', 'dispense', 'read'].flatMap((scope) => ['--scope', scope]);
  const env = { VANITYPOOL_HTTP__PORT: new URL(server.url).port };
  const made = await vanitypool(['token', 'create', '--name', 'boss', ...scopes], {
    cwd: workspace.path,
    env,
  });
  assert.equal(made.code, 0, made.stderr);
  return made.stdout.trim();
}
