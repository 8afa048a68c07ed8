/**
 * examples/launch.ts against a real server and a real Solana runtime: what it makes, and that it
 * takes and holds nothing when it fails.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Address, assertAccountExists } from '@solana/kit';
import { decodeMint, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import { buildClient } from '../../tools/build-client.mjs';
import { DILIGENT, EASY_POOL, type Server, Workspace } from '../support/server.ts';
import { payerFile, SolanaRpc } from '../support/solana-rpc.ts';

const LIMIT = { timeout: 100_000 };
const EXAMPLE = fileURLToPath(new URL('../../examples/launch.ts', import.meta.url));

interface Ended {
  readonly code: number;
  readonly stderr: string;
  /** Word and text of each line of standard output. */
  readonly said: (readonly [word: string, text: string])[];
}

/** What a launch runs with: a server with mints, a network, and a payer. */
class Scene implements AsyncDisposable {
  readonly workspace: Workspace;
  readonly server: Server;
  readonly solana: SolanaRpc;
  readonly payer: Address;
  readonly payerFile: string;

  constructor(workspace: Workspace, server: Server, solana: SolanaRpc) {
    this.workspace = workspace;
    this.server = server;
    this.solana = solana;
    const { file, payer } = payerFile();
    this.payer = payer;
    this.payerFile = join(workspace.path, 'payer.json');
    writeFileSync(this.payerFile, file, { mode: 0o600 });
  }

  static async make(): Promise<Scene> {
    assert.ok(await buildClient());
    const workspace = new Workspace();
    workspace.configure(
      [{ ...EASY_POOL, name: 'mints', handout: 'sign-only', target: 300 }],
      ...DILIGENT,
    );
    const server = await workspace.serve();
    await server.until(({ ready }) => ready >= 3, 'mints');
    return new Scene(workspace, server, await SolanaRpc.start());
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
      execFile(process.execPath, [EXAMPLE], { env, timeout: 60_000 }, (error, stdout, stderr) => {
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

test('launches at one server', LIMIT, async (t) => {
  await using scene = await Scene.make();
  const { solana, server, payer } = scene;

  await t.test('a launch that cannot be paid for takes nothing', async () => {
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
    const gone = await SolanaRpc.start();
    await gone.stop();
    const alone = await scene.launch({ SOLANA_RPC: gone.url });
    await assertFailed(
      scene.server,
      alone,
      /http:\S+ does not answer as a node of Solana: .*ECONNREFUSED/,
    );
  });

  solana.fund(payer);
  await t.test('the launch creates a mint at a vanity address', async () => {
    const { said, stderr, code } = await scene.launch();
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

    const { dispensed, reserved, burned } = await server.pool('mints');
    assert.deepEqual([dispensed, reserved, burned], [1, 0, 2]);
  });

  await t.test('a launch that fails later gives back what it holds', async () => {
    solana.failing = 'getLatestBlockhash';
    await assertFailed(scene.server, await scene.launch(), /overloaded/, [2, 4]);
    solana.failing = undefined;
  });

  await t.test('a launch that gets too few addresses gives back those it has', async () => {
    assert.equal(await scene.server.kill('SIGTERM'), 0);
    const idle = await scene.workspace.serve('--threads', '0');
    const { available, leased } = await idle.pool('mints');
    const more = available + leased - 2;
    for (let left = more; left > 0; left -= 1000)
      await idle.dispense(Math.min(left, 1000), 'mints');
    const ended = await scene.launch({ VANITYPOOL_URL: idle.url });
    assert.deepEqual(
      ended.said.map(([word]) => word),
      ['released', 'released'],
    );
    await assertFailed(idle, ended, /^launch: POOL_EMPTY: /, [more + 2, 6]);
  });
});
