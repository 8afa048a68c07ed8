/**
 * examples/launch.ts as its reader would run it, against a real server and a real Solana runtime:
 * the mint is there afterwards, at the chosen address, and nothing is left held.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Address, assertAccountExists } from '@solana/kit';
import { decodeMint, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import { encodeBase58 } from '../../src/keypair/address.ts';
import { buildClient } from '../../tools/build-client.mjs';
import { EASY_POOL, Workspace } from '../support/server.ts';
import { SolanaRpc } from '../support/solana-rpc.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/launch.ts', import.meta.url));

test('the launch creates a mint at a vanity address', { timeout: 90_000 }, async () => {
  assert.ok(await buildClient());
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, name: 'mints', handout: 'sign-only' }]);
  const server = await workspace.serve();
  await server.until(({ ready }) => ready >= 3, 'mints');
  await using solana = await SolanaRpc.start();

  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const [seed, key] = [
    privateKey.export({ format: 'jwk' }).d,
    publicKey.export({ format: 'jwk' }).x,
  ];
  const keypair = Buffer.concat([Buffer.from(seed!, 'base64url'), Buffer.from(key!, 'base64url')]);
  const payerFile = join(workspace.path, 'payer.json');
  writeFileSync(payerFile, JSON.stringify([...keypair]), { mode: 0o600 });
  const payer = encodeBase58(keypair.subarray(32)) as Address;
  solana.fund(payer);

  const { stdout } = await promisify(execFile)(process.execPath, [EXAMPLE], {
    env: {
      ...process.env,
      VANITYPOOL_URL: server.url,
      SOLANA_RPC: solana.url,
      PAYER: payerFile,
    },
    timeout: 60_000,
  });
  const said = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ +/));
  const told = (what: string) => said.filter(([word]) => word === what).map(([, text]) => text!);
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
