import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv, hash, type KeyObject, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  type Place,
  publicKeyHash,
  ROWS_PER_DATA_KEY,
  SEALED_BYTES,
  type SealedRow,
  Sealer,
  Unsealer,
} from '../../src/keypair/seal.ts';
import { SealingKey } from '../../src/keypair/sealing-key.ts';

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

  async unseal(place: Place, { dataKeyId, sealed }: SealedRow): Promise<Uint8Array | undefined> {
    return this.unsealer.unseal((await this.dataKey(dataKeyId))!, place, sealed);
  }
}

function newRow(pool = 'pet') {
  const keypair = randomBytes(64);
  return { keypair, place: { pool, keyHash: publicKeyHash(keypair) } };
}

test('a keypair is known by SHA-256 of its public key', () => {
  const keypair = randomBytes(64);
  assert.deepEqual(publicKeyHash(keypair), hash('sha256', keypair.subarray(32), 'buffer'));
});

test('what was sealed is unsealed, and is AES-256-GCM over the documented layout', async () => {
  const envelope = await Envelope.make();
  const { keypair, place } = newRow();
  await envelope.sealer.prepare(1);
  const row = envelope.sealer.seal(place, keypair);
  assert.deepEqual(Buffer.from((await envelope.unseal(place, row))!), keypair);

  const { sealed } = row;
  assert.equal(sealed.length, SEALED_BYTES);
  assert.equal(SEALED_BYTES, 92);
  const key = (await envelope.dataKey(row.dataKeyId))!;
  assert.equal(key.symmetricKeySize, 32);
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12));
  decipher.setAAD(
    Buffer.concat([Buffer.from(STORE_ID, 'hex'), place.keyHash, Buffer.from(place.pool)]),
  );
  decipher.setAuthTag(sealed.subarray(76));
  const plain = Buffer.concat([decipher.update(sealed.subarray(12, 76)), decipher.final()]);
  assert.deepEqual(plain, keypair);
});

test('a row is unsealed nowhere but in its place', async () => {
  const envelope = await Envelope.make();
  const { keypair, place } = newRow();
  await envelope.sealer.prepare(1);
  const row = envelope.sealer.seal(place, keypair);
  const other = newRow().place;
  for (const wrong of [{ ...place, pool: 'pump' }, { ...place, pool: '' }, other]) {
    assert.equal(await envelope.unseal(wrong, row), undefined);
  }
  const elsewhere = await Envelope.make('cd'.repeat(16));
  const key = (await envelope.dataKey(row.dataKeyId))!;
  assert.equal(elsewhere.unsealer.unseal(key, place, row.sealed), undefined);
});

test('a row with any bit changed, or shortened, or overwritten, is not unsealed', async () => {
  const envelope = await Envelope.make();
  const { keypair, place } = newRow();
  await envelope.sealer.prepare(1);
  const { dataKeyId, sealed } = envelope.sealer.seal(place, keypair);
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Uint8Array.from(sealed);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(await envelope.unseal(place, { dataKeyId, sealed: changed }), undefined);
  }
  for (const other of [
    sealed.subarray(1),
    sealed.subarray(0, 91),
    new Uint8Array(92),
    Buffer.of(),
  ]) {
    assert.equal(await envelope.unseal(place, { dataKeyId, sealed: other }), undefined);
  }
});

test('a keypair whose public key is another one is not given out', async () => {
  const envelope = await Envelope.make();
  const { place } = newRow();
  await envelope.sealer.prepare(1);
  const row = envelope.sealer.seal(place, randomBytes(64));
  assert.equal(await envelope.unseal(place, row), undefined);
});

const nonceOf = ({ sealed }: SealedRow) => Buffer.from(sealed.subarray(0, 12)).toString('hex');

test('a nonce is SHA-256 of the label, the associated data and the keypair', async () => {
  const envelope = await Envelope.make();
  const { keypair, place } = newRow();
  await envelope.sealer.prepare(1);
  const told = [
    'vanitypool nonce 1',
    Buffer.from(STORE_ID, 'hex'),
    place.keyHash,
    place.pool,
    keypair,
  ];
  const sum = hash('sha256', Buffer.concat(told.map((part) => Buffer.from(part))));
  assert.equal(nonceOf(envelope.sealer.seal(place, keypair)), sum.slice(0, 24));
});

test('the same row has the same nonce wherever it is sealed, and any other row another', async () => {
  const [one, clone] = [await Envelope.make(), await Envelope.make()];
  const elsewhere = await Envelope.make('cd'.repeat(16));
  const all = [one, clone, elsewhere];
  for (const { sealer } of all) await sealer.prepare(2000);
  for (let round = 0; round < 20; round++) {
    const { keypair, place } = newRow();
    const nonce = nonceOf(one.sealer.seal(place, keypair));
    assert.equal(nonceOf(one.sealer.seal(place, keypair)), nonce);
    assert.equal(nonceOf(clone.sealer.seal(place, keypair)), nonce);
    const others = new Set([nonceOf(elsewhere.sealer.seal(place, keypair))]);
    for (const pool of ['pump', 'pet2', 'pe', '']) {
      others.add(nonceOf(one.sealer.seal({ ...place, pool }, keypair)));
    }
    for (let at = 0; at < 64; at++) {
      const other = Buffer.from(keypair);
      other[at]! ^= 1 << (round & 7);
      others.add(nonceOf(one.sealer.seal(place, other)));
    }
    others.add(nonceOf(one.sealer.seal({ ...place, keyHash: randomBytes(32) }, keypair)));
    assert.equal(others.size, 1 + 4 + 64 + 1);
    assert.ok(!others.has(nonce));
  }
});

test('a row with the nonce of a counter, as earlier versions made it, is unsealed', async () => {
  const envelope = await Envelope.make();
  const { keypair, place } = newRow();
  await envelope.sealer.prepare(1);
  const { dataKeyId } = envelope.sealer.seal(place, keypair);
  const nonce = Buffer.from('000000000000000000000007', 'hex');
  const cipher = createCipheriv('aes-256-gcm', (await envelope.dataKey(dataKeyId))!, nonce);
  cipher.setAAD(
    Buffer.concat([Buffer.from(STORE_ID, 'hex'), place.keyHash, Buffer.from(place.pool)]),
  );
  const sealed = Buffer.concat([
    nonce,
    cipher.update(keypair),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
  assert.deepEqual(Buffer.from((await envelope.unseal(place, { dataKeyId, sealed }))!), keypair);
});

test('a data key takes 65,536 rows and never one more', async () => {
  const envelope = await Envelope.make();
  const { keypair, place } = newRow();
  assert.equal(ROWS_PER_DATA_KEY, 65_536);
  await envelope.sealer.prepare(ROWS_PER_DATA_KEY - 1);
  for (let row = 1; row < ROWS_PER_DATA_KEY; row++) envelope.sealer.seal(place, keypair);
  await envelope.sealer.prepare(1);
  assert.equal(envelope.sealer.seal(place, keypair).dataKeyId, 1);
  assert.throws(() => envelope.sealer.seal(place, keypair), RangeError);
  await envelope.sealer.prepare(1);
  assert.equal(envelope.sealer.seal(place, keypair).dataKeyId, 2);
  await assert.rejects(envelope.sealer.prepare(ROWS_PER_DATA_KEY + 1), RangeError);
});

test('a batch that does not fit the rest of a data key gets a new one', async () => {
  const envelope = await Envelope.make();
  const { keypair, place } = newRow();
  await envelope.sealer.prepare(ROWS_PER_DATA_KEY);
  envelope.sealer.seal(place, keypair);
  await envelope.sealer.prepare(ROWS_PER_DATA_KEY);
  assert.equal(envelope.sealer.seal(place, keypair).dataKeyId, 2);
});

test('a data key is used for one hour', async () => {
  const envelope = await Envelope.make();
  const { keypair, place } = newRow();
  const dataKeyAt = async (now: number) => {
    envelope.now = now;
    await envelope.sealer.prepare(1);
    return envelope.sealer.seal(place, keypair).dataKeyId;
  };
  assert.equal(await dataKeyAt(0), 1);
  assert.equal(await dataKeyAt(HOUR_MS - 1), 1);
  assert.equal(await dataKeyAt(HOUR_MS), 2);
  assert.equal(await dataKeyAt(2 * HOUR_MS - 1), 2);
});

test('two sealers never share a data key', async () => {
  const key = await SealingKey.from(randomBytes(32));
  const { keypair, place } = newRow();
  const [one, two] = [new Envelope(key), new Envelope(key)];
  await one.sealer.prepare(1);
  await two.sealer.prepare(1);
  const row = one.sealer.seal(place, keypair);
  assert.equal(await two.unseal(place, row), undefined);
  assert.ok(await one.unseal(place, row));
});

test('nothing is sealed with a data key that could not be saved', async () => {
  const envelope = await Envelope.make();
  const { keypair, place } = newRow();
  envelope.saveFails = true;
  await assert.rejects(envelope.sealer.prepare(1), /no disk/);
  assert.throws(() => envelope.sealer.seal(place, keypair), RangeError);
  envelope.saveFails = false;
  await envelope.sealer.prepare(1);
  assert.equal(envelope.sealer.seal(place, keypair).dataKeyId, 1);
});

test('a keypair of another length is not sealed', async () => {
  const envelope = await Envelope.make();
  await envelope.sealer.prepare(1);
  assert.throws(() => envelope.sealer.seal(newRow().place, randomBytes(32)), RangeError);
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
