import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv, createSecretKey, hash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { moveDataKey, newDataKey } from '../../src/keypair/data-keys.ts';
import { keypairOf, signingKeyOf } from '../../src/keypair/keypair.ts';
import {
  publicKeyHash,
  ROWS_PER_DATA_KEY,
  type SealedRow,
  sealedBytes,
  Unsealer,
} from '../../src/keypair/seal.ts';
import { SealingKey, sealTo } from '../../src/keypair/sealing-key.ts';
import { KEY_TYPES, type SigningKey } from '../../src/keypair/signing-key.ts';
import { BINDING, Envelope, newRow, placeOf, STORE_ID } from '../support/envelope.ts';
import { someKey } from '../support/keys.ts';

const HOUR_MS = 3_600_000;

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
  const envelope = await Envelope.make();
  const bytes = dataKey.export();
  const info = Buffer.from(`vanitypool data key 2 ${STORE_ID} ${BINDING}`);
  envelope.sealedDataKeys.set(7, await sealTo(envelope.publicKey, bytes, info));
  const opened = (await envelope.unseal(placeOf(key), { dataKeyId: 7, sealed }))!;
  assert.deepEqual(Buffer.from(opened.key), Buffer.from(key.key));
  assert.deepEqual(Buffer.from(opened.publicKey), Buffer.from(key.publicKey));
  const again = Buffer.from((await envelope.seal(placeOf(key), key)).sealed);
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
    const row = await envelope.seal(place, key);
    const { sealed } = row;
    assert.equal(sealed.length, length);
    assert.equal(sealedBytes(keyType), length);
    const dataKey = await envelope.dataKey(row.dataKeyId);
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
    const row = await envelope.seal(place, key);
    const other = newRow(keyType).place;
    for (const wrong of [
      { ...place, pool: 'pump' },
      { ...place, pool: '' },
      { ...place, keyType: keyType === 'seed' ? 'expanded' : 'seed' } as const,
      other,
    ]) {
      assert.equal(await envelope.unseal(wrong, row), undefined);
    }
  });

  test(`${keyType}: a row with any bit changed, or shortened, or overwritten, is not unsealed`, async () => {
    const envelope = await Envelope.make();
    const { key, place } = newRow(keyType);
    const { dataKeyId, sealed } = await envelope.seal(place, key);
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
    const row = await envelope.seal(place, someKey(keyType));
    assert.equal(await envelope.unseal(place, row), undefined);
  });

  test(`${keyType}: a nonce is SHA-256 of the label, the associated data and what is encrypted`, async () => {
    const envelope = await Envelope.make();
    const { key, place } = newRow(keyType);
    const told = [
      keyType === 'seed' ? 'vanitypool nonce 1' : 'vanitypool nonce 2',
      Buffer.from(STORE_ID, 'hex'),
      place.keyHash,
      place.pool,
      encryptedOf(key),
    ];
    const sum = hash('sha256', Buffer.concat(told.map((part) => Buffer.from(part))));
    assert.equal(nonceOf(await envelope.seal(place, key)), sum.slice(0, 24));
  });

  test(`${keyType}: the same row has the same nonce wherever it is sealed, and any other row another`, async () => {
    const [one, clone] = [await Envelope.make(), await Envelope.make()];
    const elsewhere = await Envelope.make('cd'.repeat(16));
    for (let round = 0; round < 20; round++) {
      const { key, place } = newRow(keyType);
      const nonce = nonceOf(await one.seal(place, key));
      assert.equal(nonceOf(await one.seal(place, key)), nonce);
      assert.equal(nonceOf(await clone.seal(place, key)), nonce);
      const others = new Set([nonceOf(await elsewhere.seal(place, key))]);
      for (const pool of ['pump', 'pet2', 'pe', '']) {
        others.add(nonceOf(await one.seal({ ...place, pool }, key)));
      }
      const bytes = encryptedOf(key);
      for (let at = 0; at < bytes.length; at++) {
        const other = Buffer.from(bytes);
        other[at]! ^= 1 << (round & 7);
        const publicKey = other.subarray(-32);
        const changed = { keyType, key: other.subarray(0, 64), publicKey };
        others.add(nonceOf(await one.seal(place, changed)));
      }
      others.add(nonceOf(await one.seal({ ...place, keyHash: randomBytes(32) }, key)));
      assert.equal(others.size, 1 + 4 + bytes.length + 1);
      assert.ok(!others.has(nonce));
    }
  });

  test(`${keyType}: a key of another length or another type is not sealed`, async () => {
    const envelope = await Envelope.make();
    const { key, place } = newRow(keyType);
    for (const wrong of [
      { ...key, key: randomBytes(32) },
      { ...key, publicKey: randomBytes(33) },
      someKey(keyType === 'seed' ? 'expanded' : 'seed'),
    ]) {
      await assert.rejects(envelope.seal(place, wrong), RangeError);
    }
  });
}

test('a row with the nonce of a counter, as earlier versions made it, is unsealed', async () => {
  const envelope = await Envelope.make();
  const { key, place } = newRow();
  const { dataKeyId } = await envelope.seal(place, key);
  const nonce = Buffer.from('000000000000000000000007', 'hex');
  const cipher = createCipheriv('aes-256-gcm', await envelope.dataKey(dataKeyId), nonce);
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

test('a data key takes 65,536 rows and never one more; a batch that does not fit its rest gets a new one', async () => {
  const envelope = await Envelope.make();
  const { key, place } = newRow();
  assert.equal(ROWS_PER_DATA_KEY, 65_536);
  const rows = new Array(ROWS_PER_DATA_KEY).fill({ place, key });
  for (let row = 0; row < 2; row++) assert.equal((await envelope.seal(place, key)).dataKeyId, 1);
  // One more than the rest takes.
  const batch = await envelope.sealer.seal(rows.slice(1));
  assert.ok(
    batch.length === ROWS_PER_DATA_KEY - 1 && batch.every(({ dataKeyId }) => dataKeyId === 2),
  );
  assert.equal((await envelope.seal(place, key)).dataKeyId, 2);
  assert.equal((await envelope.seal(place, key)).dataKeyId, 3);
  await assert.rejects(envelope.sealer.seal([...rows, { place, key }]), RangeError);
});

test('a data key is used for one hour', async () => {
  const envelope = await Envelope.make();
  const { key, place } = newRow();
  const dataKeyAt = async (now: number) => {
    envelope.now = now;
    return (await envelope.seal(place, key)).dataKeyId;
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
  const row = await one.seal(place, key);
  assert.equal(await two.unseal(place, row), undefined);
  assert.ok(await one.unseal(place, row));
});

test('a data key that is made while the sealing key is replaced is sealed to the new one', async () => {
  const [envelope, next] = [await Envelope.make(), await SealingKey.from(randomBytes(32))];
  const { key, place } = newRow();
  const sealing = envelope.seal(place, key);
  envelope.sealer.sealTo(next.publicKey);
  const row = await sealing;
  assert.equal(await envelope.unseal(place, row), undefined);
  envelope.unsealer.openWith(next);
  assert.ok(await envelope.unseal(place, row));
});

test('nothing is sealed with a data key that could not be saved', async () => {
  const envelope = await Envelope.make();
  const { key, place } = newRow();
  envelope.saveFails = true;
  await assert.rejects(envelope.seal(place, key), /no disk/);
  envelope.saveFails = false;
  assert.equal((await envelope.seal(place, key)).dataKeyId, 1);
});

test('what a data key has sealed that is missing, damaged or of another store is left out', async () => {
  const sealingKey = await SealingKey.from(randomBytes(32));
  const envelope = new Envelope(sealingKey);
  const { key, place } = newRow();
  const row = await envelope.seal(place, key);
  const sealed = envelope.sealedDataKeys.get(1)!;
  const damaged = Uint8Array.from(sealed);
  damaged[40]! ^= 1;
  envelope.sealedDataKeys.set(2, damaged).set(3, sealed.subarray(0, 79)).set(4, Buffer.alloc(80));
  for (const dataKeyId of [2, 3, 4, 5]) {
    assert.equal(await envelope.unseal(place, { ...row, dataKeyId }), undefined, `${dataKeyId}`);
  }
  assert.ok(await envelope.unseal(place, row));
  const elsewhere = new Envelope(sealingKey, 'cd'.repeat(16));
  elsewhere.sealedDataKeys.set(1, sealed);
  assert.equal(await elsewhere.unseal(place, row), undefined);
});

test('opened data keys are remembered, and not more than 1024 of them', async () => {
  const sealingKey = await SealingKey.from(randomBytes(32));
  const envelope = new Envelope(sealingKey);
  const { key, place } = newRow();
  const row = await envelope.seal(place, key);
  const sealed = envelope.sealedDataKeys.get(1)!;
  const { publicKey } = sealingKey;
  const again = () =>
    moveDataKey(sealingKey, { storeId: STORE_ID, binding: BINDING, publicKey }, sealed);
  for (let id = 2; id <= 1026; id++) envelope.sealedDataKeys.set(id, (await again())!);
  let opened = 0;
  const really = sealingKey.open.bind(sealingKey);
  sealingKey.open = (...args) => {
    opened++;
    return really(...args);
  };
  const open = (dataKeyId: number) => envelope.unseal(place, { ...row, dataKeyId });
  for (let id = 1; id <= 1024; id++) await open(id);
  assert.equal(opened, 1024);
  await open(1);
  assert.equal(opened, 1024, 'remembered');
  await open(1025);
  await open(1);
  assert.equal(opened, 1025, 'what was used last is kept');
  await open(2);
  assert.equal(opened, 1026, 'what was used the longest ago is forgotten');
  const rows = Array.from(envelope.sealedDataKeys.keys(), (dataKeyId) =>
    envelope.inPlace(place, { ...row, dataKeyId }),
  );
  const keys = await envelope.unsealer.unseal(rows);
  assert.ok(keys.length === 1026 && keys.every(Boolean), 'one call opens as many as it needs');
  opened = 0;
  const copies = [0, 1, 2].map(() => ({ ...rows[0]!, dataKey: Uint8Array.from(sealed) }));
  const anew = new Unsealer(STORE_ID, BINDING, sealingKey);
  assert.ok((await anew.unseal(copies)).every(Boolean));
  assert.equal(opened, 1, 'the same one in other bytes is opened once');
});

test('a row is sealed again under another data key, and no longer opens with the one before', async () => {
  const sealingKey = await SealingKey.from(randomBytes(32));
  const envelope = new Envelope(sealingKey);
  const of = { storeId: STORE_ID, binding: BINDING, publicKey: sealingKey.publicKey };
  const next = await newDataKey(of);
  envelope.sealedDataKeys.set(9, next);
  for (const type of ['seed', 'expanded'] as const) {
    const { key, place } = newRow(type);
    const row = await envelope.seal(place, key);
    const inPlace = envelope.inPlace(place, row);
    const changed = { ...inPlace, sealed: Buffer.from(row.sealed) };
    changed.sealed[20]! ^= 1;
    const [resealed, bad] = await envelope.unsealer.reseal([
      { ...inPlace, next },
      { ...changed, next },
    ]);
    assert.equal(bad, undefined, 'what cannot be unsealed');
    assert.equal(resealed!.length, row.sealed.length);
    const sealedAgain = { ...row, sealed: resealed! };
    assert.equal(await envelope.unseal(place, sealedAgain), undefined);
    const opened = await envelope.unseal(place, { ...sealedAgain, dataKeyId: 9 });
    assert.deepEqual(opened, key);
    const lost = { ...inPlace, next: Buffer.alloc(80) };
    await assert.rejects(envelope.unsealer.reseal([lost]), RangeError);
  }
});
