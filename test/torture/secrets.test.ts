/**
 * Whatever is done to a server, and however it ends: a secret stands in the reply that hands it
 * out, in the keypair file that was asked for, and nowhere else, in no form. The same holds for
 * the addresses, and for the sealing key outside its file. What is left on disk and in memory is
 * its user's alone, even under a umask that denies nothing. A process that is killed or asked for a
 * debugger by a signal gives nothing away.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { type Outcome, PROGRAM, vanitypool } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { exchangeAll, exchangeOne } from '../support/exchanges.ts';
import { journalsOf } from '../support/journal-machine.ts';
import { needlesOf, privateFiles, SecretSearch, unsealStore } from '../support/secrets.ts';
import { type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
/** Few enough addresses to look for each of them in some sixty forms. */
const POOLS = [
  { name: 'pet', suffix: '[a-h]t', target: 200, ready: 64, ready_max: 1024 },
  { name: 'rare', suffix: 'ZZZZZZZZ', target: 1, ready: 16, ready_max: 1024 },
];
/** Where commands find no server, so that they turn to the store. */
const NO_PORT = ['[http]', 'port = 1'];
const DISPENSE = 'POST /v1/pools/pet/dispense';
const OPEN_UMASK = ['sh', '-c', 'umask 0; exec "$0" "$@"'];

/** What was written or said, and the keys that must not be in it. */
class Evidence {
  readonly #search = new SecretSearch();
  readonly #said = new Map<string, Buffer>();
  readonly #states = new Set<string>();
  readonly #workspace: Workspace;

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  get states(): string[] {
    return [...this.#states].sort();
  }

  say(name: string, content: string | Buffer): void {
    this.#said.set(`${this.#said.size} ${name}`, Buffer.from(content as string, 'latin1'));
  }

  /** The secret of a base58 text in a reply. */
  handedOut(secretKey: string): void {
    this.#search.addKeypair(decodeBase58(secretKey));
  }

  /** A header with a key of a client, which is nobody else's business either. */
  idempotencyKey(): string {
    const key = randomBytes(24).toString('hex');
    this.#search.addBytes('idempotency key', Buffer.from(key));
    return `idempotency-key: ${key}`;
  }

  /** All that the store holds now, and its files as they are now. */
  async collect(): Promise<void> {
    const { data } = this.#workspace;
    for (const { keypair, state } of await unsealStore(data)) {
      assert.ok(keypair);
      this.#search.addKeypair(keypair);
      this.#states.add(state);
    }
    const memory = journalsOf(data);
    for (const directory of [data, ...(existsSync(memory) ? [memory] : [])]) {
      for (const [path, content] of privateFiles(directory)) this.say(path, content);
    }
  }

  /** Searches all, and proves of each file of the store that a secret in it would be found. */
  check(): void {
    const sealingKey = readFileSync(join(this.#workspace.data, 'sealing.key'), 'latin1').trim();
    this.#search.addBytes('sealing key', Buffer.from(sealingKey, 'hex'));
    this.#search.addBytes('sealing key in hex', Buffer.from(sealingKey, 'latin1'));
    assert.ok(this.#search.size >= 200, String(this.#search.size));
    const canary = keypairOf(randomBytes(32));
    this.#search.addKeypair(canary);
    for (const [name, content] of this.#said) {
      if (name.endsWith('sealing.key')) continue;
      assert.deepEqual(this.#search.find(content), [], name);
      if (content.length < canary.length) continue;
      const planted = Buffer.from(content);
      planted.set(canary, randomInt(planted.length - canary.length + 1));
      assert.equal(this.#search.find(planted).length, 4, name);
    }
  }
}

test('a search finds a secret in every form, wherever it lies', () => {
  const keypair = keypairOf(randomBytes(32));
  const search = new SecretSearch();
  for (let other = 0; other < 50; other++) search.addKeypair(keypairOf(randomBytes(32)));
  search.addKeypair(keypair);
  const file = randomBytes(20_000);
  assert.deepEqual(search.find(file), []);
  for (const { name, bytes } of needlesOf(keypair)) {
    for (const at of [0, randomInt(file.length - bytes.length), file.length - bytes.length]) {
      const planted = Buffer.from(file);
      planted.set(bytes, at);
      assert.ok(search.find(planted).includes(`${name} at ${at}`), name);
    }
  }
});

test('secrets and addresses are in their replies and nowhere else', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.launcher = OPEN_UMASK;
  workspace.configure(POOLS, ...NO_PORT);
  const evidence = new Evidence(workspace);

  const first = await start(workspace);
  await dispense(first, evidence);
  await askAll(first, evidence);
  await runCommands(['--url', first.url], evidence, workspace);
  await evidence.collect();
  await first.kill('SIGKILL');
  await evidence.collect();

  const second = await start(workspace);
  assert.ok(second.log.some(({ msg }) => msg.includes('did not stop cleanly')));
  await dispense(second, evidence);
  await askAll(second, evidence);
  assert.equal(await second.kill('SIGTERM'), 0);
  assert.ok(!existsSync(journalsOf(workspace.data)), 'a clean stop leaves nothing in memory');
  await evidence.collect();
  await runCommands([], evidence, workspace);

  const third = await start(workspace);
  await evidence.collect();
  assert.deepEqual(evidence.states, ['available', 'dispensed', 'leased']);
  const memory = journalsOf(workspace.data);
  rmSync(join(workspace.data, 'store.db'));
  await useUntilStoreFails(third, evidence);
  await third.kill('SIGKILL');
  rmSync(memory, { recursive: true });

  for (const server of [first, second, third]) evidence.say('log', server.output);
  evidence.check();
});

/** With a full pool: what is ground later is not in the store when it is looked at. */
async function start(workspace: Workspace): Promise<Server> {
  const server = await workspace.serve('--log-level', 'debug');
  await server.until(({ available, leased, target, grinding, ready }) => {
    return available + leased >= target && !grinding.active && ready > 0;
  });
  return server;
}

async function dispense(server: Server, evidence: Evidence): Promise<void> {
  for (let round = 0; round < 10; round++) {
    const first = await dispenseOne(server, evidence, DISPENSE);
    assert.notEqual(await dispenseOne(server, evidence, 'GET /api/v1/pet/address'), first);
    const key = evidence.idempotencyKey();
    const replies = [1, 2].map(() => dispenseOne(server, evidence, DISPENSE, [key]));
    const [once, again] = await Promise.all(replies);
    assert.equal(once, again, 'one hand-out in two replies');
  }
}

/** The secret of its reply. */
async function dispenseOne(
  { url }: Server,
  evidence: Evidence,
  line: string,
  headers: readonly string[] = [],
): Promise<string> {
  const { status, reply } = await exchangeOne(url, { line, headers });
  const [head = '', body = ''] = reply.toString('latin1').split('\r\n\r\n', 2);
  assert.equal(status, 200, head);
  assert.match(head, /\r\ncache-control: no-store\r\n/i);
  const secrets = [...body.matchAll(/"(?:secretKey|private_key)":"(\w+)"/g)];
  assert.equal(secrets.length, 1, line);
  const secretKey = secrets[0]![1]!;
  evidence.handedOut(secretKey);
  evidence.say(`head of ${line}`, head);
  return secretKey;
}

async function askAll({ url }: Server, evidence: Evidence): Promise<void> {
  for (const { name, reply } of await exchangeAll(url)) evidence.say(name, reply);
}

/**
 * Two of these take addresses: into a file, and to standard output, which is not searched. They are processes
 * of their own.
 */
async function runCommands(
  where: readonly string[],
  evidence: Evidence,
  { path: cwd }: Workspace,
): Promise<void> {
  const [program, ...front] = [...OPEN_UMASK, PROGRAM];
  const says = (args: readonly string[], code: number, outcome: Outcome): string => {
    assert.equal(outcome.code, code, outcome.stderr);
    evidence.say(`standard error of ${args.join(' ')}`, outcome.stderr);
    return outcome.stdout;
  };
  const run = async (code: number, ...args: string[]) =>
    says(args, code, await vanitypoolHere([...args, ...where], {}, cwd));
  const take = async (...args: string[]) =>
    says(args, 0, await vanitypool([...front, ...args, ...where], { program: program!, cwd }));
  evidence.say('status', await run(0, 'status'));
  evidence.say('status', await run(0, 'status', '--json'));
  for (const args of [
    ['none'],
    ['rare'],
    ['pet', '--out', '/proc/none'],
    ['pet', '--out', 'vanitypool.toml'],
  ]) {
    evidence.say(`dispense ${args.join(' ')}`, await run(1, 'dispense', ...args));
  }
  evidence.say('dispense too many', await run(2, 'dispense', 'pet', '--count', '1001'));
  assert.match(await take('dispense', 'pet'), /"secretKey":/);
  const address = (await take('dispense', 'pet', '--out', 'keys')).trim();
  assert.ok(privateFiles(join(cwd, 'keys')).has(join(cwd, 'keys', `${address}.json`)));
}

async function useUntilStoreFails({ url }: Server, evidence: Evidence): Promise<void> {
  for (;;) {
    const { status, reply } = await exchangeOne(url, { line: DISPENSE });
    if (status === 200) continue;
    assert.match(reply.toString('latin1'), /"code":"STORE_UNAVAILABLE"/);
    evidence.say('a dispense without a store', reply);
    break;
  }
  for (const path of [
    '/readyz',
    '/metrics',
    '/v1/pools',
    '/health/detailed',
    '/api/v1/pet/address',
  ]) {
    evidence.say(path, (await exchangeOne(url, { line: `GET ${path}` })).reply);
  }
}

const CORE_WISHED = ['sh', '-c', 'ulimit -c unlimited 2>/dev/null; exec "$0" "$@"'];
const WITHOUT_PTRACE = ['setpriv', '--bounding-set=-sys_ptrace', '--inh-caps=-sys_ptrace'];
/** Of SIGUSR1, in the masks of /proc/PID/status. */
const SIGUSR1 = 1n << 9n;

function assertNoCore(pid: number): void {
  assert.match(readFileSync(`/proc/${pid}/limits`, 'latin1'), /^Max core file size +0 +0 /m);
}

/**
 * Such a process refuses its memory to others of its user. Root is refused nothing unless it gives
 * up the capability; else files in /proc of such a process belong to root.
 */
function assertNotDumpable(pid: number): void {
  if (process.getuid!() !== 0) {
    assert.equal(statSync(`/proc/${pid}/mem`).uid, 0);
    return;
  }
  const [command, ...args] = [...WITHOUT_PTRACE, 'sh', '-c', `: < /proc/${pid}/mem`];
  const { status, stderr } = spawnSync(command!, args, { encoding: 'utf8' });
  assert.ok(status !== 0 && /permission denied/i.test(stderr), stderr);
}

test('a crash leaves no core file, and no signal opens an inspector', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.launcher = [...CORE_WISHED, ...(process.getuid!() === 0 ? WITHOUT_PTRACE : [])];
  workspace.configure(POOLS);
  for (const signal of ['SIGABRT', 'SIGSEGV'] as const) {
    const server = await workspace.serve();
    const pid = server.process.pid!;
    assertNoCore(pid);
    const caught = /^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    assert.equal(BigInt(`0x${caught}`) & SIGUSR1, 0n, 'nothing listens to SIGUSR1');
    server.process.kill('SIGUSR1');
    await server.until(({ ready }) => ready >= 64);
    await server.dispense(10);
    assert.doesNotMatch(server.output, /debugger|inspector/i);
    assertNotDumpable(pid);
    assert.equal(await server.kill(signal), null);
    assert.equal(server.process.signalCode, signal);
  }
  const files = readdirSync(workspace.path, { recursive: true, encoding: 'utf8' });
  assert.deepEqual(
    files.filter((name) => name.includes('core')),
    [],
  );
});

test('no command makes a core file', LIMIT, async () => {
  await using workspace = new Workspace();
  const [program, ...args] = [...CORE_WISHED, PROGRAM, 'grind', '--suffix', 'ZZZZZZZZ'];
  const child = spawn(program!, args, { cwd: workspace.path, stdio: 'ignore' });
  try {
    const isNode = () => readFileSync(`/proc/${child.pid}/cmdline`, 'latin1').includes('cli.ts');
    while (!isNode()) await sleep(10);
    assertNoCore(child.pid!);
  } finally {
    child.kill('SIGKILL');
  }
});
