/**
 * A real server signs with addresses of a sign-only pool, by every route, and a real Solana runtime
 * executes what it signed.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  AccountRole,
  type Address,
  getTransactionDecoder,
  getTransactionEncoder,
  type Transaction,
} from '@solana/kit';
import { TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { isSignature } from '../../src/keypair/keypair.ts';
import { ManagedServer } from '../support/managed-server.ts';
import {
  clusterWith,
  failureOf,
  mintInstructions,
  party,
  signedBy,
  transactionOf,
  VERSIONS,
  type Version,
} from '../support/mint-transactions.ts';
import { NO_VERSION_1 } from '../support/runtime-version.ts';
import { EASY_POOL } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const VAULT = { ...EASY_POOL, name: 'vault', handout: 'sign-only', target: 200 };
const PAYER = party(randomBytes(32));
const SVM = clusterWith(PAYER);

class Setup extends ManagedServer {
  async dispense(pool = 'vault'): Promise<Address> {
    const { status, body, text } = await this.ask('POST', `/v1/pools/${pool}/dispense`);
    assert.equal(status, 200, text);
    return body.addresses[0].address;
  }

  sign(address: string, message: ArrayLike<number>, pool = 'vault') {
    const body = { message: Buffer.from(Uint8Array.from(message)).toString('base64') };
    return this.ask('POST', `/v1/pools/${pool}/addresses/${address}/signatures`, { body });
  }

  cosign(address: string, wire: Uint8Array, pool = 'vault') {
    const body = { transaction: Buffer.from(wire).toString('base64') };
    return this.ask('POST', `/v1/pools/${pool}/addresses/${address}/transactions`, { body });
  }

  /** How often the address has signed, as the audit has it. */
  async signed(address: string): Promise<number> {
    const { body } = await this.ask('GET', `/v1/addresses/${address}`);
    return body.signatures.length;
  }
}

function launch(version: Version, mint: Address): Transaction {
  return transactionOf(SVM, version, PAYER.address, mintInstructions(PAYER.address, mint));
}

function wireOf(transaction: Transaction): Uint8Array {
  return Uint8Array.from(getTransactionEncoder().encode(transaction));
}

/** A message of the address that does nothing, and differs with each. */
function anyMessage(address: Address): Uint8Array {
  const accounts = [{ address, role: AccountRole.READONLY_SIGNER }];
  const programAddress = party(randomBytes(32)).address;
  const instruction = { programAddress, accounts, data: randomBytes(8) };
  return Uint8Array.from(transactionOf(SVM, 0, PAYER.address, [instruction]).messageBytes);
}

test('a server that signs', LIMIT, async (t) => {
  await using setup = new Setup(
    [
      ...[VAULT, { ...VAULT, name: 'twice', sign_limit: 2 }, { ...EASY_POOL, target: 20 }],
      {
        ...VAULT,
        name: 'launches',
        sign_programs: ['system', 'token'],
        sign_with: [PAYER.address],
      },
    ],
    '[http]',
    'threads = 2',
  );
  await setup.serve();
  for (const pool of ['vault', 'twice', 'pet', 'launches']) await setup.untilGround(20, pool);
  for (const version of VERSIONS) {
    const skip = version === 1 && NO_VERSION_1;
    await t.test(`version ${version}: a mint that it co-signs is made`, { skip }, async () => {
      const mint = await setup.dispense();
      const wire = wireOf(signedBy(launch(version, mint), PAYER));
      const { status, body, text } = await setup.cosign(mint, wire);
      assert.equal(status, 200, text);
      assert.deepEqual(Object.keys(body), ['transaction', 'signature']);
      const signed = getTransactionDecoder().decode(Buffer.from(body.transaction, 'base64'));
      assert.deepEqual([...signed.messageBytes], [...launch(version, mint).messageBytes]);
      assert.deepEqual([...signed.signatures[mint]!], [...decodeBase58(body.signature)]);
      assert.equal(failureOf(SVM, signed), undefined);
      const account = SVM.getAccount(mint);
      assert.ok(account.exists);
      assert.equal(account.programAddress, TOKEN_PROGRAM_ADDRESS);
    });
  }
  await t.test('one message is signed once, by whichever routes it comes at once', () =>
    signedOnce(setup),
  );
  await t.test('a pool of the configuration signs what it lists', () =>
    policyHolds(setup, 'launches'),
  );
  await t.test('and so does one that was made at run time, also after a restart', async () => {
    const { name, suffix, target, handout } = VAULT;
    const settings = { signPrograms: ['system', 'token'], signWith: [PAYER.address] };
    const body = { ...settings, name: `new-${name}`, suffix, target, handout };
    for (const [signPrograms, code, detail] of [
      [['system', 'tokens'], 'BODY_INVALID', /^body\/signPrograms\/1: allowed: .*system, token, /],
      // 44 bytes.
      [['1'.repeat(44)], 'CONFIG_INVALID', /1" is not allowed; allowed: system, token, /],
    ] as const) {
      const wrong = { ...body, signPrograms };
      const refused = await setup.ask('POST', '/v1/pools', { body: wrong });
      assert.deepEqual([refused.status, refused.body.code], [400, code]);
      assert.match(refused.body.detail, detail);
    }
    assert.equal((await setup.ask('POST', '/v1/pools', { body })).status, 201);
    await setup.untilGround(5, body.name);
    await policyHolds(setup, body.name);
    await setup.server.kill('SIGKILL');
    await setup.serve();
    await policyHolds(setup, body.name);
  });
  await t.test('what is refused is not counted', () => refusalsCountNothing(setup));
  await t.test('after the last signature those that were made are answered', () =>
    keptSignatures(setup),
  );
});

async function policyHolds(setup: Setup, pool: string): Promise<void> {
  const mint = await setup.dispense(pool);
  const other = [{ address: mint, role: AccountRole.READONLY_SIGNER }];
  const programAddress = party(randomBytes(32)).address;
  const called = { programAddress, accounts: other, data: randomBytes(8) };
  const unlisted = transactionOf(SVM, 0, PAYER.address, [called]);
  const thief = party(randomBytes(32));
  const stolen = transactionOf(SVM, 0, thief.address, mintInstructions(thief.address, mint));
  const paying = transactionOf(SVM, 0, mint, mintInstructions(PAYER.address, mint));
  for (const [transaction, why] of [
    [unlisted, /lists the address/],
    [stolen, /sign_with/],
    [paying, /fee payer/],
  ] as const) {
    const alone = await setup.sign(mint, transaction.messageBytes, pool);
    assert.deepEqual([alone.status, alone.body.code], [403, 'MESSAGE_REFUSED'], alone.text);
    assert.match(alone.body.detail, why);
    const whole = await setup.cosign(mint, wireOf(transaction), pool);
    assert.deepEqual(whole.body, alone.body);
  }
  assert.equal(await setup.signed(mint), 0);
  assert.equal((await setup.cosign(mint, wireOf(launch(0, mint)), pool)).status, 200);
}

async function signedOnce(setup: Setup): Promise<void> {
  const mint = await setup.dispense();
  const unsigned = launch(0, mint);
  const replies = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      index % 2 === 0
        ? setup.sign(mint, Uint8Array.from(unsigned.messageBytes))
        : setup.cosign(mint, wireOf(unsigned)),
    ),
  );
  for (const { status, text } of replies) assert.equal(status, 200, text);
  const [first, ...others] = replies.map(({ body }) => body.signature as string);
  for (const other of others) assert.equal(other, first);
  const message = Uint8Array.from(unsigned.messageBytes);
  assert.ok(isSignature(decodeBase58(mint), message, decodeBase58(first!)));
  assert.equal(await setup.signed(mint), 1);
  // Another transaction with the same message, signed meanwhile by the payer.
  const paid = await setup.cosign(mint, wireOf(signedBy(unsigned, PAYER)));
  assert.equal(paid.body.signature, first);
  assert.equal(await setup.signed(mint), 1);
}

async function refusalsCountNothing(setup: Setup): Promise<void> {
  const mint = await setup.dispense();
  const stranger = party(randomBytes(32)).address;
  const paid = wireOf(signedBy(launch(0, mint), PAYER));
  const broken = paid.slice();
  broken[5]! ^= 1;
  const fewer = Uint8Array.of(1, ...paid.subarray(65));
  const whose = new RegExp(`the signature of ${PAYER.address} is wrong`);
  const open = await setup.dispense('pet');
  for (const [what, code, detail] of [
    [() => setup.cosign(mint, broken), 'SIGNATURE_INVALID', whose],
    [() => setup.cosign(mint, wireOf(launch(0, stranger))), 'SIGNER_NOT_REQUIRED', /required/],
    [() => setup.cosign(mint, fewer), 'TRANSACTION_INVALID', /1 signatures for 2 required/],
    [() => setup.cosign(mint, paid.subarray(0, -1)), 'MESSAGE_INVALID', /left/],
    [
      () => setup.cosign(stranger, wireOf(launch(0, stranger))),
      'ADDRESS_NOT_FOUND',
      /not dispensed/,
    ],
    [() => setup.sign(mint, launch(0, stranger).messageBytes), 'SIGNER_NOT_REQUIRED', /required/],
    [() => setup.sign(mint, paid), 'MESSAGE_INVALID', /message: /],
    [() => setup.sign(open, launch(0, open).messageBytes, 'pet'), 'HANDOUT_MISMATCH', /sign-only/],
    [() => setup.cosign(open, wireOf(launch(0, open)), 'pet'), 'HANDOUT_MISMATCH', /sign-only/],
    [() => setup.sign(open, launch(0, open).messageBytes), 'ADDRESS_NOT_FOUND', /not dispensed/],
  ] as const) {
    const { body } = await what();
    assert.equal(body.code, code, body.detail);
    assert.match(body.detail, detail);
  }
  assert.equal(await setup.signed(mint), 0);
  assert.equal((await setup.cosign(mint, paid)).status, 200);
}

async function keptSignatures(setup: Setup): Promise<void> {
  const mint = await setup.dispense('twice');
  const wire = wireOf(launch(0, mint));
  const first = await setup.cosign(mint, wire, 'twice');
  assert.equal(first.status, 200, first.text);
  assert.equal((await setup.sign(mint, anyMessage(mint), 'twice')).status, 200);
  const late = await setup.sign(mint, anyMessage(mint), 'twice');
  assert.deepEqual([late.status, late.body.code], [409, 'SIGN_LIMIT_REACHED']);
  const { isSecretDestroyed } = (await setup.ask('GET', `/v1/addresses/${mint}`)).body;
  assert.equal(isSecretDestroyed, true);
  assert.deepEqual((await setup.cosign(mint, wire, 'twice')).body, first.body);
  const again = await setup.sign(mint, launch(0, mint).messageBytes, 'twice');
  assert.equal(again.body.signature, first.body.signature);
  assert.equal(await setup.signed(mint), 2);
}
