/**
 * examples/launch.ts against a real server and a real Solana runtime: what it makes, and that it
 * takes and holds nothing when it fails.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Address, assertAccountExists } from '@solana/kit';
import { decodeMint, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import { parse } from 'smol-toml';
import { buildClient } from '../../tools/build-client.mjs';
import { DILIGENT, EASY_POOL, type Server, Workspace } from '../support/server.ts';
import { payerFile, SolanaRpc } from '../support/solana-rpc.ts';

const LIMIT = { timeout: 300_000 };
const README = new URL('../../examples/README.md', import.meta.url);
const EXAMPLE = fileURLToPath(new URL('../../examples/launch.ts', import.meta.url));

interface Ended {
  readonly code: number;
  readonly stderr: string;
  /** Word and text of each line of standard output. */
  readonly said: (readonly [word: string, text: string])[];
}

/** The pool that the document shows, in fewer letters. */
function documentedPool(): Record<string, unknown> {
  const [, text = ''] = /```toml\n(.*?)```/s.exec(readFileSync(README, 'utf8'))!;
  const { pools } = parse(text) as { pools: Record<string, unknown>[] };
  const [pool, ...others] = pools;
  assert.deepEqual([pool!.keys, pool!.handout, others], ['expanded', 'sign-only', []]);
  return { ...pool, ...EASY_POOL, name: pool!.name, target: 60 };
}

/** What a launch runs with: a server with mints, a network, and a payer. */
class Scene implements AsyncDisposable {
  readonly workspace = new Workspace();
  readonly payer: Address;
  readonly payerFile = join(this.workspace.path, 'payer.json');
  server!: Server;
  solana!: SolanaRpc;

  private constructor() {
    const { file, payer } = payerFile();
    this.payer = payer;
    writeFileSync(this.payerFile, file, { mode: 0o600 });
  }

  /** `more`: pools of seeds that sign whatever they are asked to, beside the one of the document. */
  static async make(...more: string[]): Promise<Scene> {
    assert.ok(await buildClient());
    const scene = new Scene();
    const advised = { ...documentedPool(), sign_with: [scene.payer] };
    const seeds = more.map((name) => ({ ...EASY_POOL, name, target: 60, handout: 'sign-only' }));
    scene.workspace.configure([advised, ...seeds], ...DILIGENT);
    scene.server = await scene.workspace.serve();
    for (const name of ['mints', ...more])
      await scene.server.until(({ ready }) => ready >= 3, name);
    scene.solana = await SolanaRpc.start();
    return scene;
  }

  launch(environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const env = {
      ...process.env,
      VANITYPOOL_URL: this.server.url,
      SOLANA_RPC: this.solana.url,
      PAYER: this.payerFile,
      ...environment,
    };
    return new Promise((resolve) => {
      execFile(process.execPath, [EXAMPLE], { env, timeout: 300_000 }, (error, stdout, stderr) => {
        const lines = stdout.split('\n').slice(0, -1);
        const said = lines.map((line) => line.split(/ +/) as [string, string]);
        resolve({ code: error === null ? 0 : Number(error.code), stderr, said });
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.solana[Symbol.asyncDispose]();
    await this.workspace[Symbol.asyncDispose]();
  }
}

test('a launch', LIMIT, async (t) => {
  await using scene = await Scene.make('seeds');

  await t.test('that cannot be paid for takes nothing', async () => {
    const poor = await scene.launch();
    await assertFailed(
      scene.server,
      poor,
      /^launch: \w+ has 0 lamports; a mint costs \d+ and fees\n$/,
    );
    const nobody = await scene.launch({ PAYER: '/nowhere/payer.json' });
    await assertFailed(
      scene.server,
      nobody,
      /\/nowhere\/payer\.json is not the keypair file of a payer: ENOENT/,
    );
    const rpc = await SolanaRpc.start();
    await rpc.stop();
    const alone = await scene.launch({ SOLANA_RPC: rpc.url });
    await assertFailed(
      scene.server,
      alone,
      /http:\S+ does not answer as a node of Solana: .*ECONNREFUSED/,
    );
  });

  scene.solana.fund(scene.payer);
  await t.test('creates a mint at a vanity address, of either key type', async () => {
    for (const pool of ['mints', 'seeds']) await assertLaunches(scene, pool);
  });

  await t.test('that fails later gives back what it holds', async () => {
    scene.solana.failing = 'getLatestBlockhash';
    await assertFailed(scene.server, await scene.launch(), /overloaded/, [2, 4]);
    scene.solana.failing = undefined;
  });

  await t.test('that gets too few addresses gives back those it has', async () => {
    assert.equal(await scene.server.kill('SIGTERM'), 0);
    const server = await scene.workspace.serve('--threads', '0');
    const { available, leased } = await server.pool('mints');
    const taken = available + leased - 2;
    for (let left = taken; left > 0; left -= 1000)
      await server.dispense(Math.min(left, 1000), 'mints');
    const ended = await scene.launch({ VANITYPOOL_URL: server.url });
    assert.deepEqual(
      ended.said.map(([word]) => word),
      ['released', 'released'],
    );
    await assertFailed(server, ended, /^launch: POOL_EMPTY: /, [2 + taken, 6]);
  });
});

async function assertLaunches(scene: Scene, pool: string): Promise<void> {
  const { solana, server, payer } = scene;
  const { said, stderr, code } = await scene.launch({ VANITYPOOL_POOL: pool });
  assert.deepEqual([code, stderr], [0, '']);
  const told = (what: string) => said.filter(([word]) => word === what).map(([, text]) => text);
  assert.deepEqual(
    said.map(([word]) => word),
    ['held', 'held', 'held', 'chosen', 'dispensed', 'signed', 'sent', 'released', 'released'],
  );
  const [chosen] = told('chosen');
  assert.match(chosen!, /t$/);
  assert.deepEqual(told('dispensed'), [chosen]);
  assert.deepEqual([chosen, ...told('released')].toSorted(), told('held').toSorted());

  const account = solana.svm.getAccount(chosen as Address);
  assertAccountExists(account);
  assert.equal(account.programAddress, TOKEN_PROGRAM_ADDRESS);
  const { data } = decodeMint(account);
  assert.deepEqual(data.mintAuthority, { __option: 'Some', value: payer });
  assert.deepEqual([data.isInitialized, data.decimals, data.supply], [true, 6, 0n]);

  const { dispensed, reserved, burned } = await server.pool(pool);
  assert.deepEqual([dispensed, reserved, burned], [1, 0, 2]);
}

/** One plain sentence, exit code 1, and nothing held; `taken` and `released` are gone. */
async function assertFailed(
  server: Server,
  { code, stderr }: Ended,
  reason: RegExp,
  [taken, released]: readonly [number, number] = [0, 0],
): Promise<void> {
  assert.match(stderr, reason);
  assert.match(stderr, /^launch: .*\n$/);
  assert.equal(code, 1);
  const { dispensed, reserved, burned } = await server.pool('mints');
  assert.deepEqual([dispensed, reserved, burned], [taken, 0, released]);
}
