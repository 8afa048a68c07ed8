import assert from 'node:assert/strict';
import {
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  randomBytes,
} from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import {
  createSealingKey,
  loadSealingKey,
  SealingKey,
  sealTo,
} from '../../src/keypair/sealing-key.ts';

const root = mkdtempSync(join(tmpdir(), 'vanitypool-key-'));
after(() => rmSync(root, { recursive: true }));

let files = 0;
const newPath = () => join(root, `key-${files++}`);
const INFO = Buffer.from('a purpose');

/** Refused, with every one of `words` in the message. */
const refused =
  (...words: string[]) =>
  (error: unknown) =>
    error instanceof VanityError &&
    error.code === 'SEALING_KEY_INVALID' &&
    words.every((word) => error.message.includes(word));

test('a key that is made is found again, and is nobody else to read', async () => {
  const path = newPath();
  const made = await createSealingKey(`file:${path}`);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.match(readFileSync(path, 'latin1'), /^[0-9a-f]{64}\n$/);
  const loaded = await loadSealingKey(`file:${path}`);
  assert.deepEqual(loaded?.publicKey, made.publicKey);
  const sealed = await sealTo(made.publicKey, Buffer.from('message'), INFO);
  assert.equal(Buffer.from((await loaded?.open(sealed, INFO))!).toString(), 'message');
});

test('a byte order mark, which an editor has put there, is no part of the key', async () => {
  const path = newPath();
  const made = await createSealingKey(`file:${path}`);
  writeFileSync(path, `\uFEFF${readFileSync(path, 'latin1').trim()}\r\n`);
  assert.deepEqual((await loadSealingKey(`file:${path}`))?.publicKey, made.publicKey);
});

test('a key is never made over a file, whatever is in it', async () => {
  const path = newPath();
  writeFileSync(path, 'precious', { mode: 0o600 });
  await assert.rejects(createSealingKey(`file:${path}`), refused(path));
  assert.equal(readFileSync(path, 'latin1'), 'precious');
});

test('a key that cannot be written leaves no file and names the path', async () => {
  const path = join(newPath(), 'missing', 'key');
  await assert.rejects(createSealingKey(`file:${path}`), refused(path));
});

test('a file that is not there is no error and makes none', async () => {
  const path = newPath();
  assert.equal(await loadSealingKey(`file:${path}`), undefined);
  assert.throws(() => statSync(path));
});

test('a file that others can read is refused, with the remedy', async () => {
  for (const mode of [0o640, 0o604, 0o660, 0o610]) {
    const path = newPath();
    await createSealingKey(`file:${path}`);
    chmodSync(path, mode);
    await assert.rejects(
      loadSealingKey(`file:${path}`),
      refused(path, mode.toString(8), `chmod 600 ${path}`),
    );
  }
});

test('what is no key of 64 digits is refused without being shown', async () => {
  const digits = randomBytes(32).toString('hex');
  for (const text of [digits.slice(1), `${digits}0`, `${digits.slice(1)}g`, `${digits}\n\n0`]) {
    const path = newPath();
    writeFileSync(path, text, { mode: 0o600 });
    const refusal = await loadSealingKey(`file:${path}`).catch((error: unknown) => error);
    assert.ok(refused(path, '64 hexadecimal digits')(refusal), String(refusal));
    assert.ok(!String(refusal).includes(digits.slice(1, 60)), 'the text is not in the message');
  }
});

test('a directory is refused', async () => {
  const path = newPath();
  mkdirSync(path, { mode: 0o700 });
  await assert.rejects(
    loadSealingKey(`file:${path}`),
    refused(path, 'a directory; allowed: a regular file'),
  );
});

test('a variable holds the same digits, and must be set', async () => {
  const path = newPath();
  const made = await createSealingKey(`file:${path}`);
  process.env.VANITYPOOL_TEST_KEY = readFileSync(path, 'latin1').toUpperCase();
  assert.deepEqual((await loadSealingKey('env:VANITYPOOL_TEST_KEY'))?.publicKey, made.publicKey);
  process.env.VANITYPOOL_TEST_KEY = 'short';
  await assert.rejects(
    loadSealingKey('env:VANITYPOOL_TEST_KEY'),
    refused('env:VANITYPOOL_TEST_KEY'),
  );
  delete process.env.VANITYPOOL_TEST_KEY;
  await assert.rejects(
    loadSealingKey('env:VANITYPOOL_TEST_KEY'),
    refused('env:VANITYPOOL_TEST_KEY', 'not set'),
  );
});

test('only the right key, the right purpose and the whole message open it', async () => {
  const key = await SealingKey.from(randomBytes(32));
  const other = await SealingKey.from(randomBytes(32));
  const sealed = await sealTo(key.publicKey, randomBytes(32), INFO);
  assert.equal(await other.open(sealed, INFO), undefined);
  assert.equal(await key.open(sealed, Buffer.from('another purpose')), undefined);
  for (const length of [0, 16, 32, sealed.length - 1]) {
    assert.equal(await key.open(sealed.subarray(0, length), INFO), undefined);
  }
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed);
    changed[at]! ^= 1;
    assert.equal(await key.open(changed, INFO), undefined, `byte ${at}`);
  }
  assert.equal(await key.open(Buffer.alloc(sealed.length), INFO), undefined);
});

test('the same message is never sealed alike', async () => {
  const { publicKey } = await SealingKey.from(randomBytes(32));
  const message = randomBytes(32);
  const [one, two] = [
    await sealTo(publicKey, message, INFO),
    await sealTo(publicKey, message, INFO),
  ];
  assert.notDeepEqual(one.subarray(0, 32), two.subarray(0, 32));
  assert.notDeepEqual(one.subarray(32), two.subarray(32));
});

test('it is HPKE of RFC 9180, in base mode, by an independent reading of it', async () => {
  const privateKey = randomBytes(32);
  const { publicKey } = await SealingKey.from(privateKey);
  const sealed = Buffer.from(await sealTo(publicKey, Buffer.from('message'), INFO));
  assert.equal(hpkeOpen(privateKey, publicKey, sealed, INFO).toString(), 'message');
});

/** Sections 4, 4.1 and 5.1 of RFC 9180 for KEM 0x0020, KDF 0x0001 and AEAD 0x0002. */
function hpkeOpen(privateKey: Buffer, publicKey: Uint8Array, sealed: Buffer, info: Buffer): Buffer {
  const encapsulated = sealed.subarray(0, 32);
  const shared = diffieHellman({
    privateKey: createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), privateKey]),
      format: 'der',
      type: 'pkcs8',
    }),
    publicKey: createPublicKey({
      key: Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), encapsulated]),
      format: 'der',
      type: 'spki',
    }),
  });
  const kem = Buffer.concat([Buffer.from('KEM'), Buffer.of(0, 0x20)]);
  const eae = labeledExtract(kem, Buffer.alloc(0), 'eae_prk', shared);
  const context = Buffer.concat([encapsulated, publicKey]);
  const secret = labeledExpand(kem, eae, 'shared_secret', context, 32);

  const suite = Buffer.concat([Buffer.from('HPKE'), Buffer.of(0, 0x20, 0, 1, 0, 2)]);
  const empty = Buffer.alloc(0);
  const schedule = Buffer.concat([
    Buffer.of(0),
    labeledExtract(suite, empty, 'psk_id_hash', empty),
    labeledExtract(suite, empty, 'info_hash', info),
  ]);
  const start = labeledExtract(suite, secret, 'secret', empty);
  const key = labeledExpand(suite, start, 'key', schedule, 32);
  const nonce = labeledExpand(suite, start, 'base_nonce', schedule, 12);

  const decipher = createDecipheriv('aes-256-gcm', key, nonce);
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(32, -16)), decipher.final()]);
}

const hmac = (key: Buffer, ...parts: Buffer[]) =>
  createHmac('sha256', key).update(Buffer.concat(parts)).digest();

function labeledExtract(suite: Buffer, salt: Buffer, label: string, input: Buffer): Buffer {
  return hmac(salt, Buffer.from('HPKE-v1'), suite, Buffer.from(label), input);
}

/** At most 32 bytes, so one block of HKDF. */
function labeledExpand(suite: Buffer, key: Buffer, label: string, info: Buffer, length: number) {
  const head = Buffer.concat([Buffer.of(0, length), Buffer.from('HPKE-v1'), suite]);
  return hmac(key, head, Buffer.from(label), info, Buffer.of(1)).subarray(0, length);
}
