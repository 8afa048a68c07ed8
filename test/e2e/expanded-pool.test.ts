/**
 * Pools of expanded keys, as their operator and their clients have them: over HTTP, by the command
 * line, with a server and without one. Signatures are verified by `node:crypto`; keys that leave sign
 * by other code than the program's.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { addressOf, decodeBase58, encodeBase58 } from '../../src/keypair/address.ts';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import { writeExpandedKeyFile, writeKeypairFile } from '../../src/keypair/key-file.ts';
import { isSignature, keypairOf, publicKeyOf } from '../../src/keypair/keypair.ts';
import { signExpanded } from '../support/expanded-oracle.ts';
import { ManagedServer } from '../support/managed-server.ts';
import { legacyMessage } from '../support/messages.ts';
import { assertIdentity } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const TARGET = 60;
/** Named as the ancestor's. */
const OPEN = {
  name: 'pet',
  suffix: 't',
  keys: 'expanded',
  target: TARGET,
  accepts_imports: true,
  reuse_released: true,
};
const VAULT = {
  name: 'vault',
  suffix: 'x',
  keys: 'expanded',
  handout: 'sign-only',
  sign_limit: 2,
  target: 20,
};
const SEEDS = { name: 'seeds', suffix: 'z', target: 1, accepts_imports: true };

interface Expanded {
  readonly address: string;
  readonly keyType: string;
  readonly secretKey?: string;
  readonly expandedKey?: string;
}

/** The key is one of this address alone, and in no field for another kind. */
function assertSigns({ address, keyType, secretKey, expandedKey }: Expanded, suffix = 't'): void {
  assert.deepEqual([keyType, secretKey], ['expanded', undefined]);
  assert.ok(address.endsWith(suffix));
  const message = randomBytes(100);
  const signature = signExpanded(decodeBase58(expandedKey!), message);
  assert.ok(isSignature(decodeBase58(address), message, signature));
}

/** With an address that ends so; of a seed, which says nothing of how it was found. */
function expandedKeyFor(suffix: string) {
  for (;;) {
    const seed = randomBytes(32);
    const publicKey = publicKeyOf(seed);
    const address = addressOf(publicKey);
    if (address.endsWith(suffix)) return { seed, publicKey, address, key: expandedKeyOf(seed) };
  }
}

async function overHttp(managed: ManagedServer): Promise<void> {
  const { body: pool } = await managed.ask('GET', '/v1/pools/pet');
  assert.deepEqual([pool.keys, pool.handout], ['expanded', 'secret']);
  const { text: metrics } = await managed.ask('GET', '/metrics');
  assert.ok(
    metrics.includes('vanitypool_pool_info{pool="vault",keys="expanded",handout="sign-only"} 1'),
  );
  const path = '/v1/pools/pet/dispense';
  const { body } = await managed.ask('POST', path, { body: { count: 3 } });
  assert.equal(new Set(body.addresses.map(({ expandedKey }: Expanded) => expandedKey)).size, 3);
  for (const one of body.addresses) assertSigns(one);

  const key = 'order-17';
  const keyed = await managed.ask('POST', path, { key });
  assertSigns(keyed.body.addresses[0]);
  assert.equal((await managed.ask('POST', path, { key })).text, keyed.text, 'the same reply');

  const held = await managed.ask('POST', '/v1/pools/pet/reservations');
  const reservation = `/v1/reservations/${held.body.id}`;
  const taken = await managed.ask('POST', `${reservation}/dispense`);
  assertSigns(taken.body.addresses[0]);
  assert.equal(taken.body.addresses[0].address, held.body.address);
  assert.equal((await managed.ask('POST', `${reservation}/dispense`)).text, taken.text);
  const released = await managed.ask('POST', '/v1/pools/pet/reservations');
  const gone = await managed.ask('DELETE', `/v1/reservations/${released.body.id}`);
  assert.equal(gone.status, 204);

  const before = await managed.pool();
  const old = await managed.ask('GET', '/api/v1/pet/address');
  assert.deepEqual([old.status, old.body.data], [409, null]);
  assert.match(old.body.message, /its keys are expanded, and this route gives keypairs$/);
  const after = await managed.pool();
  assert.equal(after.dispensed, before.dispensed);
  assertIdentity(after);
}

async function signOnly(managed: ManagedServer): Promise<void> {
  const { body, text } = await managed.ask('POST', '/v1/pools/vault/dispense');
  const [{ address, keyType }] = body.addresses;
  assert.equal(keyType, 'expanded');
  assert.ok(address.endsWith('x') && !/secretKey|expandedKey/.test(text));
  const publicKey = decodeBase58(address);
  const path = `/v1/pools/vault/addresses/${address}/signatures`;
  const sign = async (bytes: Uint8Array) => {
    const message = Buffer.from(bytes).toString('base64');
    return await managed.ask('POST', path, { body: { message } });
  };
  const other = await sign(legacyMessage(randomBytes(32), 1));
  assert.deepEqual([other.status, other.body.code], [400, 'SIGNER_NOT_REQUIRED']);
  const signatures: string[] = [];
  for (const memo of [1, 2]) {
    const message = legacyMessage(publicKey, memo);
    const signed = await sign(message);
    assert.equal(signed.status, 200, signed.text);
    const signature = decodeBase58(signed.body.signature);
    assert.ok(isSignature(publicKey, message, signature));
    assert.equal((await sign(message)).text, signed.text, 'kept, also without the key');
    signatures.push(signed.body.signature);
  }
  assert.notEqual(signatures[0]!.slice(0, 20), signatures[1]!.slice(0, 20), 'nonces of their own');
  const third = await sign(legacyMessage(publicKey, 3));
  assert.deepEqual([third.status, third.body.code], [409, 'SIGN_LIMIT_REACHED']);
}

/** From the server, or from the store when it does not run. */
async function byCommandLine(managed: ManagedServer, key: string): Promise<void> {
  const { dispensed: before } = await figures(managed);
  const printed = await managed.run('dispense', 'pet', '--count', '2');
  assert.equal(printed.code, 0, printed.stderr);
  assert.equal(printed.lines.length, 2);
  for (const line of printed.lines) assertSigns(JSON.parse(line));

  const command = ['dispense', 'pet', '--count', '2', '--key', key, '--out', 'keys'];
  const written = await managed.run(...command);
  assert.equal(written.code, 0, written.stderr);
  const directory = join(managed.workspace.path, 'keys');
  const files = written.lines.map((address) => `${address}.expanded.json`);
  for (const [index, file] of files.entries()) {
    assert.equal(statSync(join(directory, file)).mode & 0o777, 0o600);
    const filed = JSON.parse(readFileSync(join(directory, file), 'utf8'));
    assertSigns({ keyType: 'expanded', ...filed });
    assert.equal(filed.address, written.lines[index]);
  }
  const again = await managed.run(...command);
  assert.deepEqual([again.code, again.lines], [0, written.lines], again.stderr);
  const exported = await managed.run('export', '--pool', 'pet', '--count', '1', '--out', 'keys');
  assert.equal(exported.code, 0, exported.stderr);
  const all = readdirSync(directory);
  assert.deepEqual(all.toSorted(), [...files, `${exported.lines[0]}.expanded.json`].toSorted());
  const base58 = await managed.run('dispense', 'pet', '--out', 'keys', '--format', 'base58');
  assert.equal(base58.code, 2);
  assert.match(base58.stderr, /pool pet: its keys are expanded; --format base58 .*USAGE_INVALID/);
  assert.doesNotMatch(base58.stderr, /handed out/);
  assert.equal((await figures(managed)).dispensed, before + 5, 'nothing was taken for base58');

  const lines = ['--count', '2', '--format', 'lines', '--out', 'keys/of.export'];
  assert.equal((await managed.run('export', '--pool', 'pet', ...lines)).code, 0);
  writeFileSync(join(directory, 'of.dispense'), printed.stdout);
  const proved = await managed.run('verify', '--json', 'keys');
  assert.equal(proved.code, 0, proved.stdout);
  assert.equal(proved.lines.length, 7);
  for (const line of proved.lines) assert.equal(JSON.parse(line).keyType, 'expanded');
  const back = await managed.run('import', '--pool', 'pet', 'keys');
  assert.equal(back.stdout, '0 imported, 7 known before\n', back.stderr);

  const status = await managed.run('status');
  assert.match(status.stdout, /^pet +\.\.\.t \(expanded\) /m);
  const vault = await managed.run('dispense', 'vault', '--out', 'keys');
  assert.match(vault.stderr, /HANDOUT_MISMATCH/);
  rmSync(directory, { recursive: true });
}

async function imports(managed: ManagedServer, wrongs: number): Promise<void> {
  const directory = mkdtempSync(join(managed.workspace.path, 'brought-'));
  const given = [1, 2, 3].map(() => expandedKeyFor('t'));
  const files = given.map(({ publicKey, key }) => writeExpandedKeyFile(directory, publicKey, key));
  const { imported: before } = await figures(managed);
  const brought = await managed.run('import', '--pool', 'pet', ...files);
  assert.deepEqual([brought.code, brought.stdout], [0, '3 imported\n'], brought.stderr);
  const repeated = await managed.run('import', '--pool', 'pet', ...files);
  assert.equal(repeated.stdout, '0 imported, 3 known before\n');

  const [own, other] = given as [(typeof given)[0], (typeof given)[0]];
  const wrong = join(directory, 'wrong.json');
  writeFileSync(
    wrong,
    readFileSync(files[0]!, 'utf8').replace(encodeBase58(own.key), encodeBase58(other.key)),
  );
  const keypair = writeKeypairFile(directory, keypairOf(expandedKeyFor('t').seed));
  const foreign = expandedKeyFor('u');
  const unmatched = writeExpandedKeyFile(directory, foreign.publicKey, foreign.key);
  for (const [pool, names, reason] of [
    ['pet', [wrong], /wrong\.json:1: an expanded key that is not that of its.*KEY_FILE_INVALID/],
    ['pet', [keypair], /pool pet: its keys are of the type expanded; given: seed.*IMPORTS_REFUSED/],
    ['seeds', files, /pool seeds: its keys are of the type seed; given: expanded.*IMPORTS_REFUSED/],
    ['pet', [files[0]!, keypair], /\.json:1: its key is of the type seed, those before are exp/],
    [
      'pet',
      [unmatched],
      /:1: its address does not match \.\.\.t; nothing came in.*KEYPAIR_REFUSED/,
    ],
  ].slice(0, wrongs) as [string, string[], RegExp][]) {
    const refused = await managed.run('import', '--pool', pool, ...names);
    assert.equal(refused.code, 1, refused.stdout);
    assert.match(refused.stderr, reason);
    for (const { key } of given) assert.ok(!refused.stderr.includes(encodeBase58(key).slice(0, 9)));
  }
  assert.equal((await figures(managed)).imported, before + 3);
}

async function figures(managed: ManagedServer): Promise<{ imported: number; dispensed: number }> {
  const { stdout } = await managed.run('status', '--json');
  return JSON.parse(stdout).pools.find(({ name }: { name: string }) => name === 'pet');
}

async function importsOverHttp(managed: ManagedServer): Promise<void> {
  const [one, other] = [expandedKeyFor('t'), expandedKeyFor('t')];
  const ask = (body: object) => managed.ask('POST', '/v1/imports', { body });
  const item = ({ address, key }: typeof one) => ({ address, expandedKey: encodeBase58(key) });
  const mixed = { address: one.address, expandedKey: encodeBase58(other.key) };
  const seed = { address: one.address, expandedKey: encodeBase58(keypairOf(one.seed)) };
  for (const wrong of [mixed, seed, { ...item(one), expandedKey: '0' }]) {
    const refused = await ask({ pool: 'pet', expandedKeys: [item(other), wrong] });
    assert.deepEqual([refused.status, refused.body.code], [400, 'KEYPAIR_REFUSED']);
    assert.match(refused.body.detail, /^expandedKeys\[1\]: .*; nothing came in$/);
  }
  const secretKeys = [encodeBase58(keypairOf(one.seed))];
  const type = await ask({ pool: 'pet', secretKeys });
  assert.deepEqual([type.status, type.body.code], [409, 'IMPORTS_REFUSED']);
  const taken = await ask({ pool: 'pet', expandedKeys: [item(one), item(other), item(one)] });
  assert.deepEqual(taken.body, { imported: 2, duplicates: 1 });
}

test('a pool of expanded keys, from the grinder to the reply', LIMIT, async (t) => {
  await using managed = new ManagedServer([OPEN, VAULT, SEEDS]);
  await managed.serve();
  await managed.untilGround(20, 'vault');
  await managed.untilGround(TARGET);

  await t.test('it gets what it lacks, and hardly more', async () => {
    const { available, leased } = await managed.server.until(({ grinding }) => !grinding.active);
    // One thread, which is allowed what is lacking at most once more (grinder.ts).
    const held = available + leased;
    assert.ok(held >= TARGET && held <= 2 * TARGET, `${held}`);
  });
  await t.test('over HTTP a reply has the key in a field of its own', () => overHttp(managed));
  await t.test('the server signs for a sign-only pool', () => signOnly(managed));
  await t.test('by the command line, from the server', () => byCommandLine(managed, 'asked'));
  await t.test('files come in as what they are', () => imports(managed, 5));
  await t.test('keys come in over HTTP with their addresses', () => importsOverHttp(managed));

  assert.equal(await managed.server.kill('SIGTERM'), 0, managed.server.output);
  await t.test('by the command line, from the store', () => byCommandLine(managed, 'looked'));
  await t.test('files come in without a server', () => imports(managed, 2));
  await t.test('it stays what it was made as', async () => {
    managed.workspace.configure([{ ...OPEN, keys: 'seed' }]);
    await assert.rejects(managed.serve(), (error: Error) => {
      assert.match(
        error.message,
        /pool pet: made with keys "expanded", not "seed"; give the other its own name/,
      );
      assert.match(error.message, /POOL_MISMATCH/);
      return true;
    });
  });
});
