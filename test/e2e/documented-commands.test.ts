/**
 * Every command of README.md and the other documents is run as it stands, by bash, in order, in a
 * clone that is fresh for each document. What the documents take for granted is made here: a server
 * that runs, and its pool, of a pattern that is found at once. Only the port is another one. What is
 * shown after a command has to be said, but for its figures. docs/http-api.md has a test of its own,
 * beside this one.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { assertSaid, blocksOf, type DocumentedCommand } from '../support/documented-commands.ts';
import { FreshClone, type Lasting } from '../support/fresh-clone.ts';
import type { PoolFigures } from '../support/server.ts';
import { payerFile, SolanaRpc } from '../support/solana-rpc.ts';

const LIMIT = { timeout: 590_000 };
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DOCUMENTS = globSync(['*.md', 'docs/*.md', 'examples/*.md', 'ops/*.md'], { cwd: ROOT });
/** test/e2e/http-api.test.ts runs its commands. */
const OF_ANOTHER_TEST = ['docs/http-api.md'];

/** What is not run here, by the start of the command, and why. */
const NOT_RUN: readonly [document: string, command: string, reason: string][] = [
  ['CONTRIBUTING.md', 'npm test', 'it is this test, with all others'],
  ['CONTRIBUTING.md', 'npm run check', '.ci/run runs it before the tests'],
  ['CONTRIBUTING.md', 'npm run format', 'as `npm run check` does, and writes'],
  ['docs/benchmarks.md', 'bin/vanitypool bench', 'a minute each; bench.test.ts runs them, shorter'],
  [
    'docs/benchmarks.md',
    'setsid -w sh -c',
    'another priority of the session takes root; so does a minute',
  ],
  [
    'docs/operations.md',
    'bin/vanitypool dispense pet --count 40 > /mnt/nearly-full',
    'a disk that is nearly full; hand-out.test.ts makes one',
  ],
  ['docs/operations.md', 'useradd', 'it changes the machine; so do the next two'],
  ['docs/operations.md', 'cp /opt/vanitypool/ops/vanitypool.service', 'a unit of the machine'],
  ['docs/operations.md', 'systemctl enable', 'a unit of the machine; containers.test.ts reads it'],
  ['docs/containers.md', 'docker ', 'image.test.ts runs what the image has, without Docker'],
  ['docs/containers.md', 'openssl rand', 'a key that only the next commands use'],
  ['docs/containers.md', 'kubectl ', 'it takes a cluster; containers.test.ts reads the manifests'],
  ['docs/scaling.md', 'docker ', 'containers.test.ts reads the file, and runs its script'],
  ['docs/scaling.md', 'kubectl ', 'it takes a cluster; containers.test.ts reads the manifests'],
  ['examples/README.md', 'solana-test-validator', 'a program of others; a network is made here'],
  ['examples/README.md', 'solana-keygen new', 'a program of others; the file is made here'],
  ['examples/README.md', 'solana airdrop', 'a program of others; the payer is funded here'],
];

/** Commands that run until they are stopped, and what they say when they are ready. */
const LASTING: readonly [command: RegExp, sign: RegExp][] = [
  [/^npm start\b/, /"listening"/],
  [/^[^#]*bin\/vanitypool serve\b/, /"listening"/],
  [/^bin\/vanitypool top\b/, /\bpet\b/],
];
/** Such a server is for its block alone. */
const OVER_TLS = /\bVANITYPOOL_HTTP__TLS_CERT=/;
/** These need a terminal. */
const OF_TERMINAL = /^bin\/vanitypool top\b/;
/** The text before these says to stop the server. */
const WITHOUT_SERVER = /^openssl req\b|^bin\/vanitypool audit --json/;
/** What a command comes to when the machine is slow: it says so, and nothing is wrong. */
const MAY_BE_SLOW = /^\.\/benchmark_api\.sh/;
const CREATES_POOL = /^bin\/vanitypool pool create pump\b/;
/** Of a store with another history: the first line that is shown is that of any. */
const OTHER_HISTORY = /^bin\/vanitypool (audit --pool|restore .* --dispensed)/;

/** Of the pool `pet`, beside what commands with a count take. */
const TAKEN_MAX = 300;

/** With as many addresses as the commands take. */
function configurationFor(commands: readonly DocumentedCommand[]): string {
  const counts = commands.map(({ command }) => Number(/ --count (\d+)/.exec(command)?.[1] ?? 0));
  const target = counts.reduce((sum, count) => sum + count, TAKEN_MAX);
  return `[grinder]
threads = 1
priority = "normal"
[[pools]]
name = "pet"
suffix = "t"
target = ${target}
accepts_imports = true
[[pools]]
name = "mints"
suffix = "t"
handout = "sign-only"
target = 100
`;
}

function isRun(document: string, { command }: DocumentedCommand): boolean {
  return !NOT_RUN.some(([of, start]) => of === document && command.startsWith(start));
}

/** One terminal for what lasts, one for the rest, as a reader has them. */
class Reader {
  readonly clone: FreshClone;
  #server: Lasting | undefined;

  constructor(clone: FreshClone) {
    this.clone = clone;
  }

  async block(commands: readonly DocumentedCommand[]): Promise<void> {
    for (const one of commands) {
      const { command } = one;
      if (WITHOUT_SERVER.test(command)) await this.#stopServer();
      const [, sign] = LASTING.find(([start]) => start.test(command)) ?? [];
      if (sign === undefined) await this.#run(one);
      else if (OF_TERMINAL.test(command)) await this.#watch(command, sign);
      else {
        await this.#stopServer();
        this.#server = await this.clone.start(command, sign);
        if (!OVER_TLS.test(command)) await this.#fill();
      }
    }
    if (commands.some(({ command }) => OVER_TLS.test(command))) await this.#stopServer();
  }

  /** A server is taken for granted. */
  async serve(): Promise<void> {
    if (this.#server !== undefined) return;
    this.#server = await this.clone.start('bin/vanitypool serve', /"listening"/);
    await this.#fill();
  }

  /** And that it had the time to fill its pools. */
  async #fill(): Promise<void> {
    for (const name of ['pet', 'mints']) {
      for (;;) {
        const reply = await fetch(`${this.clone.url}/v1/pools/${name}`);
        const pool = (await reply.json()) as PoolFigures;
        if (pool.available + pool.leased >= pool.target) break;
        await sleep(100);
      }
    }
  }

  async #run(one: DocumentedCommand): Promise<void> {
    const { command, shown } = one;
    const { code, output } = await this.clone.run(command);
    if (MAY_BE_SLOW.test(command)) {
      assert.doesNotMatch(output, /WRONG/);
      const fast = output.replaceAll('MISSED', 'yes').replace('NOT as', 'all as');
      assertSaid(fast, one);
      return;
    }
    assert.equal(code, 0, `$ ${command}\n${output}`);
    assertSaid(
      output,
      OTHER_HISTORY.test(command) ? { command, shown: shown.split('\n')[0]! } : one,
    );
    // Nothing here waits for its first address, which takes minutes.
    if (CREATES_POOL.test(command)) await this.clone.run('bin/vanitypool pool pause pump');
  }

  async #watch(command: string, sign: RegExp): Promise<void> {
    const typed = command.replace(/ +#.*/, '');
    const watching = await this.clone.start(`script -qec '${typed}' /dev/null`, sign);
    await watching.stop();
  }

  async #stopServer(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
  }
}

test('commands work as typed', LIMIT, async (t) => {
  await using solana = await SolanaRpc.start();
  await using clone = await FreshClone.make({ SOLANA_RPC: solana.url });
  for (const document of DOCUMENTS) {
    const blocks = blocksOf(readFileSync(join(ROOT, document), 'utf8'))
      .map((block) => block.filter((one) => isRun(document, one)))
      .filter((block) => block.length > 0);
    if (blocks.length === 0 || OF_ANOTHER_TEST.includes(document)) continue;
    await t.test(document, async () => {
      clone.write('vanitypool.toml', configurationFor(blocks.flat()));
      const { file, payer } = payerFile();
      writeFileSync(join(clone.path, 'payer.json'), file, { mode: 0o600 });
      solana.fund(payer);
      const reader = new Reader(clone);
      const starts = blocks[0]!.some(({ command }) => command.startsWith('npm start'));
      for (const [index, block] of blocks.entries()) {
        const isAlone = block.some(
          ({ command }) => WITHOUT_SERVER.test(command) || command.startsWith('npm'),
        );
        if (!isAlone && !(index === 0 && starts)) await reader.serve();
        await reader.block(block);
      }
      assert.equal(clone.untracked(), '', 'git would commit what a document makes');
    });
    await clone.reset();
  }
});

test('what is not run stands in its document', () => {
  for (const [document, start, reason] of NOT_RUN) {
    const commands = blocksOf(readFileSync(join(ROOT, document), 'utf8')).flat();
    assert.ok(
      commands.some(({ command }) => command.startsWith(start)),
      `${document}: ${start} (${reason})`,
    );
  }
  for (const document of OF_ANOTHER_TEST) assert.ok(DOCUMENTS.includes(document), document);
});
