/**
 * Programs that sign by a Vault transit engine, with addresses of a real server: the published keychain
 * packages for Solana, for JavaScript and for Python, and requests as Vault's own clients send them.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { VaultSigner } from '@solana/keychain-vault';
import {
  type Address,
  getTransactionDecoder,
  getTransactionEncoder,
  type Transaction,
} from '@solana/kit';
import { TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import { decodeBase58, encodeBase58 } from '../../src/keypair/address.ts';
import { isSignature } from '../../src/keypair/keypair.ts';
import { askKeychain, missingKeychain } from '../support/keychain-python.ts';
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
const VAULT = { ...EASY_POOL, name: 'vault', handout: 'sign-only', target: 100 };
const PAYER = party(randomBytes(32));
const SVM = clusterWith(PAYER);
const SIGN = '/v1/transit/sign';
const KEYS = '/v1/transit/keys';

interface Asked {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

class Setup extends ManagedServer {
  async dispense(token: string, pool = 'vault'): Promise<Address> {
    const { status, body, text } = await this.ask('POST', `/v1/pools/${pool}/dispense`, { token });
    assert.equal(status, 200, text);
    return body.addresses[0].address;
  }

  /** As a client of Vault asks; a body without a content type. */
  async vault(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: object,
  ): Promise<Asked> {
    const reply = await fetch(new URL(path, this.server.url), {
      method,
      headers: { connection: 'close', ...headers },
      redirect: 'error',
      // Bytes have no type of their own.
      ...(body !== undefined && { body: Buffer.from(JSON.stringify(body)) }),
    });
    return { status: reply.status, text: await reply.text(), headers: reply.headers };
  }

  async signed(address: string): Promise<number> {
    const { body } = await this.ask('GET', `/v1/addresses/${address}`);
    return body.signatures.length;
  }
}

function launch(version: Version, mint: Address): Transaction {
  const instructions = mintInstructions(PAYER.address, mint);
  return signedBy(transactionOf(SVM, version, PAYER.address, instructions), PAYER);
}

function base64(bytes: ArrayLike<number>): string {
  return Buffer.from(Uint8Array.from(bytes)).toString('base64');
}

/** The one text of an error in Vault's form, which has nothing else. */
function errorOf({ text, headers }: Asked): string {
  assert.equal(headers.get('content-type'), 'application/json; charset=utf-8');
  const { errors, ...more } = JSON.parse(text);
  assert.deepEqual([errors.length, more], [1, {}]);
  return errors[0];
}

test('a server as a transit engine', LIMIT, async (t) => {
  await using setup = new Setup([
    ...[VAULT, { ...VAULT, name: 'other' }, { ...EASY_POOL, target: 20 }],
    { ...VAULT, name: 'listed', sign_programs: ['pump'] },
  ]);
  await setup.serve();
  for (const pool of ['vault', 'other', 'pet', 'listed']) await setup.untilGround(20, pool);
  const token = await setup.make('launcher', 'dispense');

  for (const version of VERSIONS) {
    const skip = version === 1 && NO_VERSION_1;
    await t.test(
      `version ${version}: the package for JavaScript makes a mint`,
      { skip },
      async () => {
        const mint = await setup.dispense(token);
        const signer = new VaultSigner({
          vaultAddr: setup.server.url,
          vaultToken: token,
          keyName: mint,
          publicKey: mint,
        });
        assert.equal(await signer.isAvailable(), true);
        const transaction = launch(version, mint);
        const [made] = await signer.signTransactions([transaction] as never);
        const signatures = { ...transaction.signatures, ...made };
        assert.equal(failureOf(SVM, { ...transaction, signatures } as Transaction), undefined);
        const account = SVM.getAccount(mint);
        assert.ok(account.exists);
        assert.equal(account.programAddress, TOKEN_PROGRAM_ADDRESS);
        const text = { content: Buffer.from('I own this address'), signatures: {} };
        await assert.rejects(signer.signMessages([text] as never), (error) => {
          const { context } = error as { context: { message: string; status: number } };
          assert.equal(context.status, 400);
          assert.match(context.message, /MESSAGE_INVALID: input: only transactions are signed; /);
          return true;
        });
        assert.equal(await setup.signed(mint), 1);
      },
    );
  }

  const skip = missingKeychain();
  await t.test('the package for Python makes a mint in each version', { skip }, async () => {
    const mint = await setup.dispense(token);
    const wire = (version: Version) =>
      base64(getTransactionEncoder().encode(launch(version, mint)));
    const { available, signed, refusal } = askKeychain({
      url: setup.server.url,
      token,
      address: mint,
      transactions: VERSIONS.map(wire),
    });
    assert.deepEqual([available, signed.length, refusal], [true, VERSIONS.length, 400]);
    for (const [index, text] of signed.entries()) {
      const transaction = getTransactionDecoder().decode(Buffer.from(text, 'base64'));
      const message = Uint8Array.from(transaction.messageBytes);
      assert.equal(base64(message), base64(launch(VERSIONS[index]!, mint).messageBytes));
      assert.ok(isSignature(decodeBase58(mint), message, transaction.signatures[mint]!));
      if (index === 0) assert.equal(failureOf(SVM, transaction), undefined);
    }
    assert.equal(await setup.signed(mint), VERSIONS.length);
  });

  await t.test('the same message gets the same signature by all routes', () =>
    oneSignature(setup, token),
  );
  await t.test('the key is that of the address', () => oneKey(setup, token));
  await t.test('what is not this token’s gets one answer', () => oneAnswer(setup, token));
  await t.test('what an engine of Vault could do besides is refused', () => refusals(setup, token));
  await t.test('X-Vault-Token is a token like a bearer', () => tokens(setup, token));
  await t.test('no token is in the log', () => {
    const log = JSON.stringify(setup.server.log);
    assert.match(log, /"listening"/);
    for (const text of [token, setup.token]) assert.ok(!log.includes(text.slice(3)));
  });
});

async function oneSignature(setup: Setup, token: string): Promise<void> {
  const mint = await setup.dispense(token);
  const { messageBytes } = launch(0, mint);
  const input = base64(messageBytes);
  const vaultToken = { 'x-vault-token': token };
  const path = `/v1/pools/vault/addresses/${mint}`;
  const wire = base64(getTransactionEncoder().encode(launch(0, mint)));
  const [post, put, bearer, byBytes, whole] = await Promise.all([
    setup.vault('POST', `${SIGN}/${mint}`, vaultToken, { input }),
    setup.vault('PUT', `${SIGN}/${mint}`, vaultToken, { input, key_version: 1 }),
    setup.vault(
      'PUT',
      `${SIGN}/${mint}`,
      { authorization: `Bearer ${token}` },
      { input, key_version: 0 },
    ),
    setup.ask('POST', `${path}/signatures`, { token, body: { message: input } }),
    setup.ask('POST', `${path}/transactions`, { token, body: { transaction: wire } }),
  ]);
  assert.equal(post.status, 200, post.text);
  const { data } = JSON.parse(post.text);
  const [, , signature] = /^(vault:v1:)(.*)$/.exec(data.signature)!;
  const bytes = Buffer.from(signature!, 'base64');
  assert.ok(isSignature(decodeBase58(mint), Uint8Array.from(messageBytes), bytes));
  for (const other of [put, bearer]) assert.deepEqual(other.text, post.text);
  for (const { body } of [byBytes, whole]) assert.equal(body.signature, encodeBase58(bytes));
  assert.equal(await setup.signed(mint), 1);
}

async function oneKey(setup: Setup, token: string): Promise<void> {
  const mint = await setup.dispense(token);
  const { status, text } = await setup.vault('GET', `${KEYS}/${mint}`, { 'x-vault-token': token });
  assert.equal(status, 200, text);
  assert.deepEqual(JSON.parse(text), {
    data: {
      name: mint,
      type: 'ed25519',
      supports_signing: true,
      latest_version: 1,
      min_decryption_version: 1,
      keys: { 1: { public_key: base64(decodeBase58(mint)) } },
    },
  });
}

/** In the same words for an address of nobody, of another token, not dispensed, or of a pool with secrets. */
async function oneAnswer(setup: Setup, token: string): Promise<void> {
  const other = await setup.make('other', 'dispense');
  const bound = await setup.makeWith(['bound', 'dispense'], '--pool', 'other');
  const own = await setup.dispense(token);
  const held = await setup.ask('POST', '/v1/pools/vault/reservations', { token });
  const addresses = [
    party(randomBytes(32)).address,
    await setup.dispense(other),
    await setup.dispense(bound, 'other'),
    await setup.dispense(token, 'pet'),
    held.body.address as Address,
  ].map((address) => [address, token] as const);
  // Of another pool than those of the token.
  for (const [address, asking] of [...addresses, [own, bound]] as const) {
    const input = base64(launch(0, address).messageBytes);
    const vaultToken = { 'x-vault-token': asking };
    for (const asked of [
      await setup.vault('POST', `${SIGN}/${address}`, vaultToken, { input }),
      await setup.vault('GET', `${KEYS}/${address}`, vaultToken),
    ]) {
      assert.equal(asked.status, 404, asked.text);
      const detail = `ADDRESS_NOT_FOUND: ${address}: was not dispensed to this token by a pool that signs`;
      assert.equal(errorOf(asked), detail);
    }
  }
  const input = base64(launch(0, own).messageBytes);
  const { status } = await setup.vault(
    'POST',
    `${SIGN}/${own}`,
    { 'x-vault-token': token },
    { input },
  );
  assert.equal(status, 200);
  const ofBound = await setup.dispense(bound, 'other');
  const key = await setup.vault('GET', `${KEYS}/${ofBound}`, { 'x-vault-token': bound });
  assert.equal(key.status, 200);
}

async function refusals(setup: Setup, token: string): Promise<void> {
  const mint = await setup.dispense(token);
  const vaultToken = { 'x-vault-token': token };
  const input = base64(launch(0, mint).messageBytes);
  const sign = (body: object, address: string = mint) =>
    setup.vault('PUT', `${SIGN}/${address}`, vaultToken, body);
  const stranger = party(randomBytes(32)).address;
  for (const [body, error] of [
    [
      { input, prehashed: true },
      /^BODY_INVALID: body: no such key: prehashed; allowed: input, key_v/,
    ],
    [{ input, prehashed: false }, /no such key: prehashed/],
    [{ input, hash_algorithm: 'sha2-256' }, /no such key: hash_algorithm/],
    [{ input, batch_input: [{ input }] }, /no such key: batch_input/],
    [{ batch_input: [{ input }] }, /^BODY_INVALID: /],
    [{ input, context: 'AQAB' }, /no such key: context/],
    [{ input, key_version: 2 }, /^BODY_INVALID: body\/key_version: allowed: 0 or 1/],
    [{ input: 'no base64' }, /^BODY_INVALID: body\/input: allowed: /],
    [{}, /^BODY_INVALID: body\/input: is missing/],
    [
      { input: base64(Buffer.from('Sign in with this text')) },
      /^MESSAGE_INVALID: input: only trans/,
    ],
    [
      { input: base64(Buffer.from('\xffsolana offchain', 'latin1')) },
      /only transactions are signed/,
    ],
    [{ input: base64(randomBytes(32)) }, /only transactions are signed/],
    [{ input: base64(getTransactionEncoder().encode(launch(0, mint))) }, /only transactions are/],
    [{ input: base64(launch(0, stranger).messageBytes) }, /^SIGNER_NOT_REQUIRED: /],
  ] as const) {
    const asked = await sign(body);
    assert.equal(asked.status, 400, asked.text);
    assert.match(errorOf(asked), error);
  }
  const listed = await setup.dispense(token, 'listed');
  const refused = await sign({ input: base64(launch(0, listed).messageBytes) }, listed);
  assert.equal(refused.status, 403);
  assert.match(errorOf(refused), /^MESSAGE_REFUSED: message: pool listed does not sign it: instr/);
  assert.deepEqual([await setup.signed(mint), await setup.signed(listed)], [0, 0]);
}

async function tokens(setup: Setup, token: string): Promise<void> {
  const mint = await setup.dispense(token);
  const reader = await setup.make('reader', 'read');
  const path = `${KEYS}/${mint}`;
  const authorization = `Bearer ${token}`;
  for (const [headers, status, error] of [
    [{ 'x-vault-token': `${token}x` }, 401, /^TOKEN_REQUIRED: x-vault-token: not a valid token$/],
    [{ 'x-vault-token': '' }, 401, /^TOKEN_REQUIRED: x-vault-token: not a valid token$/],
    [{ authorization: 'Bearer x' }, 401, /^TOKEN_REQUIRED: authorization: not a valid token$/],
    [{}, 401, /^TOKEN_REQUIRED: authorization: Bearer vp_\.\.\. is missing$/],
    [{ 'x-vault-token': reader }, 403, /^SCOPE_REQUIRED: this route asks for the scope dispense$/],
    [
      { authorization, 'x-vault-token': token },
      400,
      /^REQUEST_INVALID: authorization, x-vault-tok/,
    ],
  ] as const) {
    const asked = await setup.vault('GET', path, headers as Record<string, string>);
    assert.equal(asked.status, status, asked.text);
    assert.match(errorOf(asked), error);
  }
  // Elsewhere it is a header that means nothing.
  const elsewhere = await setup.vault('GET', '/v1/pools', { 'x-vault-token': reader });
  assert.equal(elsewhere.status, 401);
  assert.equal((await setup.vault('GET', '/v1/pools', { authorization })).status, 403);
  const { code } = await setup.run('token', 'revoke', 'reader');
  assert.equal(code, 0);
  const revoked = await setup.vault('GET', path, { 'x-vault-token': reader });
  assert.equal(revoked.status, 401);
}
