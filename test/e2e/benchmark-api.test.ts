/**
 * `benchmark_api.sh` against a small server that speaks the contract and can break it. Whether an
 * expectation on time is met depends on the machine, so that a good run is checked to agree with
 * itself; only a server that is slow on purpose is known to miss.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LOADS, summarize } from '../../bench/api.ts';
import { readOptions } from '../../bench/api-options.ts';
import type { VanityError } from '../../src/errors.ts';
import { addressOf, encodeBase58 } from '../../src/keypair/address.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { readOwnToken } from '../../src/service/own-token.ts';
import { DILIGENT, EASY_POOL, type Server, Workspace } from '../support/server.ts';

const PROGRAM = fileURLToPath(new URL('../../benchmark_api.sh', import.meta.url));
const LIMIT = { timeout: 300_000 };

interface Handed {
  readonly address: string;
  readonly secretKey: string;
}

function makeAddress(): Handed {
  for (;;) {
    const keypair = keypairOf(randomBytes(32));
    const address = addressOf(keypair.subarray(32));
    if (/[a-z]$/.test(address)) return { address, secretKey: encodeBase58(keypair) };
  }
}

const ADDRESSES = Array.from({ length: 161 }, makeAddress);
const LAST = ADDRESSES[160]!;

interface Behaviour {
  /** In the pool when it is asked for the n-th time, from 0 on. */
  readonly stock?: (asked: number) => number;
  readonly pool?: object;
  readonly delayMs?: number;
  /** Answers the n-th dispense, from 0 on; undefined: as a good server. */
  readonly answer?: (index: number, response: ServerResponse) => Handed | undefined;
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Outcome extends Ended {
  readonly dispensed: number;
  readonly paths: ReadonlySet<string>;
}

interface Running {
  /** VANITYPOOL_TOKEN */
  readonly token?: string;
  readonly onFirstError?: (child: ChildProcess) => void;
}

/** Runs the benchmark with BENCH_URL. */
function run(
  url: string,
  args: readonly string[] = [],
  { token = '', onFirstError = () => undefined }: Running = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, BENCH_URL: url, VANITYPOOL_TOKEN: token } };
    const child = execFile(PROGRAM, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
    child.stderr!.once('data', () => onFirstError(child));
  });
}

/** What a run came to that found nothing wrong: its exit code depends on the speed alone. */
function assertGood({ code, stdout }: Ended): void {
  assert.match(stdout, /160 different addresses, expected 160/);
  assert.doesNotMatch(stdout, /WRONG/);
  for (const { title, expectation } of LOADS) {
    const line = stdout.split('\n').find((text) => text.startsWith(title));
    assert.match(line!, new RegExp(`${expectation}: (yes|MISSED)$`));
  }
  const isMet = !stdout.includes('MISSED');
  assert.equal(code, isMet ? 0 : 1);
  assert.match(stdout, isMet ? /\nall as expected\n$/ : /\nNOT as expected\n$/);
}

/** Runs it against a server that behaves like this. */
async function benchmark(
  behaviour: Behaviour,
  args: readonly string[] = [],
  running?: Running,
): Promise<Outcome> {
  const { stock = () => 200, pool, delayMs = 0, answer = () => undefined } = behaviour;
  let dispensed = 0;
  let asked = 0;
  const paths = new Set<string>();
  const server = createServer(async (incoming, response) => {
    paths.add(`${incoming.method} ${incoming.url}`);
    for await (const _ of incoming);
    const send = (value: object) => response.end(JSON.stringify(value));
    if (incoming.url === '/healthz') return send({ status: 'ok' });
    if (incoming.url === '/v1/pools/pet') {
      const grinding = { active: true, hitsPerSecond: 10 };
      const figures = { available: stock(asked++) - 5, ready: 5, leased: 5, target: 1000 };
      return send({ pattern: '...[a-z]', paused: false, grinding, ...figures, ...pool });
    }
    const index = dispensed++;
    const handed = answer(index, response) ?? ADDRESSES[index]!;
    const reply =
      incoming.url === '/api/v1/pet/address'
        ? { code: 200, data: { address: handed.address, private_key: handed.secretKey } }
        : { addresses: [handed] };
    return delayMs === 0 ? send(reply) : setTimeout(() => send(reply), delayMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    const ended = await run(`http://127.0.0.1:${port}`, args, running);
    for (const { secretKey } of ADDRESSES) {
      assert.ok(!`${ended.stdout}${ended.stderr}`.includes(secretKey), 'a secret was shown');
    }
    return { ...ended, dispensed, paths };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

for (const [args, path] of [
  [[], 'POST /v1/pools/pet/dispense'],
  [['--compat'], 'GET /api/v1/pet/address'],
] as const) {
  test(`a good server passes but for its speed: ${path}`, LIMIT, async () => {
    const outcome = await benchmark({}, args);
    assert.equal(outcome.dispensed, 160);
    assert.deepEqual(outcome.paths, new Set(['GET /healthz', 'GET /v1/pools/pet', path]));
    assertGood(outcome);
  });
}

test('the real server passes but for its speed, by either route', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 320 }], ...DILIGENT);
  const server = await workspace.serve();
  // Each waits for its addresses.
  assertGood(await run(server.url));
  const token = await tokenFor(workspace, server, ['dispense', 'read']);
  assertGood(await run(server.url, ['--compat'], { token: `${token}\n` }));
  const pools = { token: await tokenFor(workspace, server, ['dispense']) };
  for (const [args, running] of [
    [['--no-wait'], {}],
    [['--no-wait'], pools],
  ] as const) {
    const { code, stderr } = await run(server.url, args, running);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /status 40[13]: give a token with the scopes dispense and read, by --token or/,
    );
  }
  assertGood(await run(server.url, ['--token', token], pools));
});

async function tokenFor(
  { data }: Workspace,
  server: Server,
  scopes: readonly string[],
): Promise<string> {
  const token = readOwnToken(data)!;
  const body = { name: scopes.join('-'), scopes };
  return (await server.ask('POST', '/v1/tokens', { token, body })).body.token;
}

test('a slow server is reported', LIMIT, async () => {
  const { code, stdout } = await benchmark({ delayMs: 20 });
  assert.equal(code, 1);
  assert.match(stdout, /10 sequential .*average < 5 ms: MISSED/);
  assert.doesNotMatch(stdout, /WRONG/);
});

test('a pool that fills is waited for, with an ETA', LIMIT, async () => {
  const outcome = await benchmark({ stock: (asked) => 60 + 50 * asked });
  assert.equal(outcome.stderr, 'waiting for 160 addresses: 60 are there  ETA 10 s\n');
  assertGood(outcome);
});

test('a wait can be interrupted, and nothing is taken', LIMIT, async () => {
  const onFirstError = (child: ChildProcess) => void child.kill('SIGINT');
  const stuck = { stock: () => 7, pool: { grinding: { active: false, hitsPerSecond: 0 } } };
  const { code, stderr, dispensed } = await benchmark(stuck, [], { onFirstError });
  assert.deepEqual([code, dispensed], [130, 0]);
  assert.equal(stderr, 'waiting for 160 addresses: 7 are there  nothing is being ground now\n');
});

const shorts: readonly [args: string[], pool: object, reason: string][] = [
  [['--no-wait'], {}, 'the pool is short: 160 addresses are needed, 159 are there'],
  [[], { target: 159 }, 'the pool is too small: 160 addresses are needed, its target is 159'],
  [[], { paused: true }, 'the pool is paused: nothing is handed out until it is resumed'],
];
for (const [args, pool, reason] of shorts) {
  test(`nothing is taken out of a pool that is short: ${reason}`, LIMIT, async () => {
    const { code, stderr, dispensed } = await benchmark({ stock: () => 159, pool }, args);
    assert.deepEqual([code, stderr, dispensed], [1, `benchmark_api.sh: ${reason}\n`, 0]);
  });
}

test('--help shows each option', LIMIT, async () => {
  const { code, stdout, stderr } = await run('http://127.0.0.1:1', ['--help']);
  assert.deepEqual([code, stderr], [0, '']);
  for (const option of ['--wait', '--no-wait', '--token', '--compat', 'VANITYPOOL_TOKEN']) {
    assert.ok(stdout.includes(option), option);
  }
});

test('wrong usage ends it before a server is asked', LIMIT, async () => {
  const { code, stdout, stderr, paths } = await benchmark({}, ['--wiat']);
  assert.match(stderr, /^benchmark_api\.sh: there is no option --wiat; did you mean --wait\? /);
  assert.deepEqual([code, stdout, paths.size], [2, '', 0]);
});

const usages: readonly [args: string[], reason: RegExp][] = [
  [['--wiat'], /there is no option --wiat; did you mean --wait\? \(options: --wait, --no-wait, /],
  [['-x'], /there is no option -x \(options: /],
  [['--token', 'vp_x'], /--token: not a token; allowed: vp_ and 43 letters/],
  [['--token'], /--token: its value is missing; allowed: vp_ and 43 letters/],
  [['--token', '--compat'], /--token: its value is missing; allowed: vp_ and 43 letters/],
  [['--token=vp_x', '--token=vp_x'], /--token: is given more than once; allowed: once/],
  [['--wait=3'], /--wait: takes no value/],
  [['http://a', 'http://b'], /one server at a time; not also http:\/\/b/],
  [['localhost'], /"localhost" is not the URL of a server; allowed: http:\/\/HOST:PORT/],
];
for (const [args, reason] of usages) {
  test(`wrong usage is reported: ${args.join(' ')}`, () => {
    assert.throws(
      () => readOptions(args, {}),
      ({ code, message }: VanityError) => {
        assert.equal(code, 'USAGE_INVALID');
        assert.match(message, reason);
        assert.ok(!message.includes('vp_x'), 'a token is not repeated');
        return true;
      },
    );
  });
}

const wrongKey = { ...LAST, secretKey: ADDRESSES[0]!.secretKey };
const wrongs: readonly [what: string, fault: RegExp, answer: Behaviour['answer']][] = [
  [
    'a status',
    /1 of 100: status 503 instead of 200/,
    (index, response) => {
      if (index === 159) response.statusCode = 503;
      return undefined;
    },
  ],
  [
    'an address handed out twice',
    /1 of 100: an address that was handed out before/,
    (index) => (index === 159 ? ADDRESSES[3] : undefined),
  ],
  [
    'an address of another pattern',
    /1 of 50: an address that does not match/,
    (index) => (index === 20 ? { ...LAST, address: `${LAST.address.slice(0, -1)}A` } : undefined),
  ],
  [
    'a key of another address',
    /1 of 10: a secret key of another address/,
    (index) => (index === 1 ? wrongKey : undefined),
  ],
  [
    'no address',
    /1 of 10: no address in the answer/,
    (index) => (index === 1 ? ({} as Handed) : undefined),
  ],
];
for (const [what, fault, answer] of wrongs) {
  test(`a wrong answer fails the run: ${what}`, LIMIT, async () => {
    const { code, stdout } = await benchmark(answer === undefined ? {} : { answer });
    assert.match(stdout, fault);
    assert.equal(code, 1);
    assert.match(stdout, /NOT as expected/);
  });
}

test('a server that is not there is reported', LIMIT, async () => {
  const { code, stderr } = await benchmark({}, ['http://127.0.0.1:1']);
  assert.equal(code, 1);
  assert.match(stderr, /ECONNREFUSED 127\.0\.0\.1:1/);
});

test('figures: nearest rank, in any order', () => {
  const latencies = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.deepEqual(summarize(latencies, 400), {
    averageMs: 50.5,
    p50Ms: 50,
    p99Ms: 99,
    totalMs: 400,
    requestsPerSecond: 250,
  });
  assert.deepEqual(summarize([7], 7).p99Ms, 7);
});

test('expectations are met below the mark, not on it', () => {
  const at = (ms: number) => ({ ...summarize([ms], ms), averageMs: ms, totalMs: ms });
  const marks = [5, 100, 200];
  assert.deepEqual(
    LOADS.map(({ isMet }, index) => isMet(at(marks[index]!))),
    [false, false, false],
  );
  assert.deepEqual(
    LOADS.map(({ isMet }, index) => isMet(at(marks[index]! - 0.1))),
    [true, true, true],
  );
});
