import assert from 'node:assert/strict';
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hash,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { test } from 'node:test';
import { keypairOf, signingKeyOf } from '../../src/keypair/keypair.ts';
import {
  type Place,
  publicKeyHash,
  ROWS_PER_DATA_KEY,
  type SealedRow,
  Sealer,
  sealedBytes,
  Unsealer,
} from '../../src/keypair/seal.ts';
import { SealingKey } from '../../src/keypair/sealing-key.ts';
import { KEY_TYPES, type KeyType, type SigningKey } from '../../src/keypair/signing-key.ts';
import { someKey } from '../support/keys.ts';

const STORE_ID = 'ab'.repeat(16);
const BINDING = 'b'.repeat(32);
const HOUR_MS = 3_600_000;

/** A sealer, an unsealer of the same sealing key, and the data keys between them. */
class Envelope {
  readonly sealedDataKeys = new Map<number, Uint8Array>();
  readonly sealer: Sealer;
  readonly unsealer: Unsealer;
  reads = 0;
  now = 0;
  saveFails = false;

  constructor(key: SealingKey, storeId = STORE_ID) {
    const save = (sealed: Uint8Array) => {
      if (this.saveFails) throw new Error('no disk');
      this.sealedDataKeys.set(this.sealedDataKeys.size + 1, sealed);
      return this.sealedDataKeys.size;
    };
    const { publicKey } = key;
    this.sealer = new Sealer({ storeId, binding: BINDING, publicKey, save, now: () => this.now });
    this.unsealer = new Unsealer(storeId, BINDING, key);
  }

  static async make(storeId = STORE_ID): Promise<Envelope> {
    return new Envelope(await SealingKey.from(randomBytes(32)), storeId);
  }

  async dataKey(id: number, unsealer = this.unsealer): Promise<KeyObject | undefined> {
    const keys = await unsealer.dataKeys([id], () => {
      this.reads++;
      return this.sealedDataKeys.get(id);
    });
    return keys.get(id);
  }

  async unseal(place: Place, { dataKeyId, sealed }: SealedRow): Promise<SigningKey | undefined> {
    return this.unsealer.unseal((await this.dataKey(dataKeyId))!, place, sealed);
  }
}

function newRow(keyType: KeyType = 'seed') {
  const key = someKey(keyType);
  return { key, place: placeOf(key) };
}

function placeOf({ keyType, publicKey }: SigningKey): Place {
  return { pool: 'pet', keyType, keyHash: publicKeyHash(publicKey) };
}

/** What is encrypted of it, as documented. */
function encryptedOf({ keyType, key, publicKey }: SigningKey): Buffer {
  return Buffer.concat(keyType === 'seed' ? [key] : [key, publicKey]);
}

test('a key is known by SHA-256 of its public key', () => {
  const publicKey = randomBytes(32);
  assert.deepEqual(publicKeyHash(publicKey), hash('sha256', publicKey, 'buffer'));
});

/** Made by the first version: of the seed of 32 bytes 3, in the pool 'pet'. */
test('a row of an earlier version is unsealed', async () => {
  const dataKey = createSecretKey(
    '7ac5030fddb695d36940705eca0a10e643c97a6cc6668f7027e5d739fad8bb11',
    'hex',
  );
  const sealed = Buffer.from(
    'f977e60da5bb3ed504b659862791a5f234af7d16e57fa92fc3dfd2a2ce39085c489583c65e27a121df7e561b' +
      '3e9f39916db16e8bb9a77f8ad8b852d0220e11eb2ecd89f1735c4ea867803d999d351514c0f61d467248c540' +
      '136bc811',
    'hex',
  );
  const key = signingKeyOf(keypairOf(Buffer.alloc(32, 3)));
  const { sealer, unsealer } = await Envelope.make();
  const opened = unsealer.unseal(dataKey, placeOf(key), sealed)!;
  assert.deepEqual(Buffer.from(opened.key), Buffer.from(key.key));
  assert.deepEqual(Buffer.from(opened.publicKey), Buffer.from(key.publicKey));
  await sealer.prepare(1);
  const again = sealer.seal(placeOf(key), key).sealed;
  assert.deepEqual(again.subarray(0, 12), sealed.subarray(0, 12), 'the nonce is the same as then');
  const cipher = createCipheriv('aes-256-gcm', dataKey, sealed.subarray(0, 12));
  assert.deepEqual(cipher.update(key.key), sealed.subarray(12, 76));
});

const nonceOf = ({ sealed }: SealedRow) => Buffer.from(sealed.subarray(0, 12)).toString('hex');

for (const keyType of KEY_TYPES) {
  const length = { seed: 92, expanded: 124 }[keyType];

  test(`${keyType}: what was sealed is unsealed, and is AES-256-GCM over the documented layout`, async () => {
    const envelope = await Envelope.make();
    const { key, place } = newRow(keyType);
    await envelope.sealer.prepare(1);
    const row = envelope.sealer.seal(place, key);
    const { sealed } = row;
    assert.equal(sealed.length, length);
    assert.equal(sealedBytes(keyType), length);
    const dataKey = (await envelope.dataKey(row.dataKeyId))!;
    assert.equal(dataKey.symmetricKeySize, 32);
    const decipher = createDecipheriv('aes-256-gcm', dataKey, sealed.subarray(0, 12));
    decipher.setAAD(
      Buffer.concat([Buffer.from(STORE_ID, 'hex'), place.keyHash, Buffer.from(place.pool)]),
    );
    decipher.setAuthTag(sealed.subarray(-16));
    const plain = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
    assert.deepEqual(plain, encryptedOf(key));

    const opened = (await envelope.unseal(place, row))!;
    assert.equal(opened.keyType, keyType);
    assert.deepEqual(Buffer.from(opened.key), Buffer.from(key.key));
    assert.deepEqual(Buffer.from(opened.publicKey), Buffer.from(key.publicKey));
    opened.key.fill(0);
    assert.ok(
      encryptedOf(opened)
        .subarray(0, 64)
        .every((byte) => byte === 0),
      'it can be wiped',
    );
  });

  test(`${keyType}: a row is unsealed nowhere but in its place`, async () => {
    const envelope = await Envelope.make();
    const { key, place } = newRow(keyType);
    await envelope.sealer.prepare(1);
    const row = envelope.sealer.seal(place, key);
    const other = newRow(keyType).place;
    for (const wrong of [
      { ...place, pool: 'pump' },
      { ...place, pool: '' },
      { ...place, keyType: keyType === 'seed' ? 'expanded' : 'seed' } as const,
      other,
    ]) {
      assert.equal(await envelope.unseal(wrong, row), undefined);
    }
    const elsewhere = await Envelope.make('cd'.repeat(16));
    const dataKey = (await envelope.dataKey(row.dataKeyId))!;
    assert.equal(elsewhere.unsealer.unseal(dataKey, place, row.sealed), undefined);
  });

  test(`${keyType}: a row with any bit changed, or shortened, or overwritten, is not unsealed`, async () => {
    const envelope = await Envelope.make();
    const { key, place } = newRow(keyType);
    await envelope.sealer.prepare(1);
    const { dataKeyId, sealed } = envelope.sealer.seal(place, key);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Uint8Array.from(sealed);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(await envelope.unseal(place, { dataKeyId, sealed: changed }), undefined);
    }
    for (const other of [
      sealed.subarray(1),
      sealed.subarray(0, -1),
      new Uint8Array(length),
      Buffer.of(),
    ]) {
      assert.equal(await envelope.unseal(place, { dataKeyId, sealed: other }), undefined);
    }
  });

  test(`${keyType}: a key whose public key is another one is not given out`, async () => {
    const envelope = await Envelope.make();
    const { place } = newRow(keyType);
    await envelope.sealer.prepare(1);
    const row = envelope.sealer.seal(place, someKey(keyType));
    assert.equal(await envelope.unseal(place, row), undefined);
  });

  test(`${keyType}: a nonce is SHA-256 of the label, the associated data and what is encrypted`, async () => {
    const envelope = await Envelope.make();
    const { key, place } = newRow(keyType);
    await envelope.sealer.prepare(1);
    const told = [
      keyType === 'seed' ? 'vanitypool nonce 1' : 'vanitypool nonce 2',
      Buffer.from(STORE_ID, 'hex'),
      place.keyHash,
      place.pool,
      encryptedOf(key),
    ];
    const sum = hash('sha256', Buffer.concat(told.map((part) => Buffer.from(part))));
    assert.equal(nonceOf(envelope.sealer.seal(place, key)), sum.slice(0, 24));
  });

  test(`${keyType}: the same row has the same nonce wherever it is sealed, and any other row another`, async () => {
    const [one, clone] = [await Envelope.make(), await Envelope.make()];
    const elsewhere = await Envelope.make('cd'.repeat(16));
    const all = [one, clone, elsewhere];
    for (const { sealer } of all) await sealer.prepare(3000);
    for (let round = 0; round < 20; round++) {
      const { key, place } = newRow(keyType);
      const nonce = nonceOf(one.sealer.seal(place, key));
      assert.equal(nonceOf(one.sealer.seal(place, key)), nonce);
      assert.equal(nonceOf(clone.sealer.seal(place, key)), nonce);
      const others = new Set([nonceOf(elsewhere.sealer.seal(place, key))]);
      for (const pool of ['pump', 'pet2', 'pe', '']) {
        others.add(nonceOf(one.sealer.seal({ ...place, pool }, key)));
      }
      const bytes = encryptedOf(key);
      for (let at = 0; at < bytes.length; at++) {
        const other = Buffer.from(bytes);
        other[at]! ^= 1 << (round & 7);
        const publicKey = other.subarray(-32);
        const changed = { keyType, key: other.subarray(0, 64), publicKey };
        others.add(nonceOf(one.sealer.seal(place, changed)));
      }
      others.add(nonceOf(one.sealer.seal({ ...place, keyHash: randomBytes(32) }, key)));
      assert.equal(others.size, 1 + 4 + bytes.length + 1);
      assert.ok(!others.has(nonce));
    }
  });

  test(`${keyType}: a key of another length or another type is not sealed`, async () => {
    const envelope = await Envelope.make();
    await envelope.sealer.prepare(1);
    const { key, place } = newRow(keyType);
    for (const wrong of [
      { ...key, key: randomBytes(32) },
      { ...key, publicKey: randomBytes(33) },
      someKey(keyType === 'seed' ? 'expanded' : 'seed'),
    ]) {
      assert.throws(() => envelope.sealer.seal(place, wrong), RangeError);
    }
  });
}

test('a row with the nonce of a counter, as earlier versions made it, is unsealed', async () => {
  const envelope = await Envelope.make();
  const { key, place } = newRow();
  await envelope.sealer.prepare(1);
  const { dataKeyId } = envelope.sealer.seal(place, key);
  const nonce = Buffer.from('000000000000000000000007', 'hex');
  const cipher = createCipheriv('aes-256-gcm', (await envelope.dataKey(dataKeyId))!, nonce);
  cipher.setAAD(
    Buffer.concat([Buffer.from(STORE_ID, 'hex'), place.keyHash, Buffer.from(place.pool)]),
  );
  const sealed = Buffer.concat([
    nonce,
    cipher.update(key.key),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
  const opened = (await envelope.unseal(place, { dataKeyId, sealed }))!;
  assert.deepEqual(Buffer.from(opened.key), Buffer.from(key.key));
});

test('a data key takes 65,536 rows and never one more', async () => {
  const envelope = await Envelope.make();
  const { key, place } = newRow();
  assert.equal(ROWS_PER_DATA_KEY, 65_536);
  await envelope.sealer.prepare(ROWS_PER_DATA_KEY - 1);
  for (let row = 1; row < ROWS_PER_DATA_KEY; row++) envelope.sealer.seal(place, key);
  await envelope.sealer.prepare(1);
  assert.equal(envelope.sealer.seal(place, key).dataKeyId, 1);
  assert.throws(() => envelope.sealer.seal(place, key), RangeError);
  await envelope.sealer.prepare(1);
  assert.equal(envelope.sealer.seal(place, key).dataKeyId, 2);
  await assert.rejects(envelope.sealer.prepare(ROWS_PER_DATA_KEY + 1), RangeError);
});

test('a batch that does not fit the rest of a data key gets a new one', async () => {
  const envelope = await Envelope.make();
  const { key, place } = newRow();
  await envelope.sealer.prepare(ROWS_PER_DATA_KEY);
  envelope.sealer.seal(place, key);
  await envelope.sealer.prepare(ROWS_PER_DATA_KEY);
  assert.equal(envelope.sealer.seal(place, key).dataKeyId, 2);
});

test('a data key is used for one hour', async () => {
  const envelope = await Envelope.make();
  const { key, place } = newRow();
  const dataKeyAt = async (now: number) => {
    envelope.now = now;
    await envelope.sealer.prepare(1);
    return envelope.sealer.seal(place, key).dataKeyId;
  };
  assert.equal(await dataKeyAt(0), 1);
  assert.equal(await dataKeyAt(HOUR_MS - 1), 1);
  assert.equal(await dataKeyAt(HOUR_MS), 2);
  assert.equal(await dataKeyAt(2 * HOUR_MS - 1), 2);
});

test('two sealers never share a data key', async () => {
  const sealingKey = await SealingKey.from(randomBytes(32));
  const { key, place } = newRow();
  const [one, two] = [new Envelope(sealingKey), new Envelope(sealingKey)];
  await one.sealer.prepare(1);
  await two.sealer.prepare(1);
  const row = one.sealer.seal(place, key);
  assert.equal(await two.unseal(place, row), undefined);
  assert.ok(await one.unseal(place, row));
});

test('nothing is sealed with a data key that could not be saved', async () => {
  const envelope = await Envelope.make();
  const { key, place } = newRow();
  envelope.saveFails = true;
  await assert.rejects(envelope.sealer.prepare(1), /no disk/);
  assert.throws(() => envelope.sealer.seal(place, key), RangeError);
  envelope.saveFails = false;
  await envelope.sealer.prepare(1);
  assert.equal(envelope.sealer.seal(place, key).dataKeyId, 1);
});

test('a data key that is missing, damaged or of another store is left out', async () => {
  const key = await SealingKey.from(randomBytes(32));
  const envelope = new Envelope(key);
  await envelope.sealer.prepare(1);
  const sealed = envelope.sealedDataKeys.get(1)!;
  const damaged = Uint8Array.from(sealed);
  damaged[40]! ^= 1;
  envelope.sealedDataKeys.set(2, damaged).set(3, sealed.subarray(0, 79)).set(4, Buffer.alloc(80));
  for (const id of [2, 3, 4, 5]) assert.equal(await envelope.dataKey(id), undefined, `${id}`);
  assert.ok(await envelope.dataKey(1));
  const elsewhere = new Envelope(key, 'cd'.repeat(16));
  assert.equal(await envelope.dataKey(1, elsewhere.unsealer), undefined);
});

test('opened data keys are remembered, and not more than 1024 of them', async () => {
  const envelope = await Envelope.make();
  await envelope.sealer.prepare(1);
  const sealed = envelope.sealedDataKeys.get(1)!;
  for (let id = 2; id <= 1026; id++) envelope.sealedDataKeys.set(id, sealed);
  for (let id = 1; id <= 1024; id++) await envelope.dataKey(id);
  assert.equal(envelope.reads, 1024);
  await envelope.dataKey(1);
  assert.equal(envelope.reads, 1024, 'remembered');
  await envelope.dataKey(1025);
  await envelope.dataKey(1);
  assert.equal(envelope.reads, 1025, 'what was used last is kept');
  await envelope.dataKey(2);
  assert.equal(envelope.reads, 1026, 'what was used the longest ago is forgotten');
  const ids = Array.from(envelope.sealedDataKeys.keys());
  const all = await envelope.unsealer.dataKeys(ids, (id) => envelope.sealedDataKeys.get(id));
  assert.equal(all.size, 1026, 'one call opens as many as it needs');
});
