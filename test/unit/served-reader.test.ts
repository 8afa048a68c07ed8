/** The reader of a running server, with its thread, on a store that is open beside it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { addressOf } from '../../src/keypair/address.ts';
import type { Hit } from '../../src/keypair/signing-key.ts';
import { LastWarnings } from '../../src/last-warnings.ts';
import { createLog } from '../../src/log.ts';
import { assertWholeBackup } from '../../src/store/sqlite/backup-file.ts';
import type { Store } from '../../src/store/store.ts';
import { ServedReader } from '../../src/store-thread/served-reader.ts';
import { openStoreIn, removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const LIMIT = { timeout: 300_000 };
/** Asked for by that token. */
const by = (token: number, id: string) => ({ id, token });
const newId = () => randomBytes(16).toString('hex');

/** Ids 1 to 3 are dispensed, 4 to 9 available. */
class Subject implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly #channels: MessageChannel[] = [];
  store!: Store;
  hits: Hit[] = hitsFor('pet', 9);
  reader!: ServedReader;

  static async open(): Promise<Subject> {
    const subject = new Subject();
    subject.store = await openStoreIn(subject.directory);
    await subject.store.definePool(poolNamed('pet'));
    await subject.store.insert(subject.hits);
    await turn(subject.store, 'pet', 0, 3);
    await turn(subject.store, 'pet', 3, 0);
    subject.reader = subject.newReader();
    return subject;
  }

  newReader(): ServedReader {
    const { directory } = this;
    const sealingKey = `file:${join(directory, 'sealing.key')}`;
    const log = createLog('test', 'silent', false);
    const lastWarnings = new LastWarnings().buffer;
    const logging = { logLevel: 'silent', isPretty: false, lastWarnings } as const;
    const settings = { ...logging, retentionHours: 24 };
    const onUnstarted = () => undefined;
    return new ServedReader({ directory, sealingKey, log, onUnstarted, ...settings });
  }

  /** As one HTTP thread has them, and how it ends. */
  connect() {
    const channel = new MessageChannel();
    this.#channels.push(channel);
    channel.port1.on('message', () => undefined);
    return { calls: this.reader.callsOf(channel.port1), channel };
  }

  get sent(): string[] {
    return readdirSync(this.directory).filter((name) => name.startsWith('sent-backup-'));
  }

  async untilFree(): Promise<void> {
    while (this.sent.length > 0) await nextTurn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { port1 } of this.#channels) port1.close();
    await this.reader.stop();
    await this.store.close();
    removeDirectory(this.directory);
  }
}

test('pages and single addresses are those of the store beside it', LIMIT, async () => {
  await using subject = await Subject.open();
  const { calls } = subject.connect();
  const { addresses, next } = await calls.auditPage({ after: 0, limit: 5 });
  assert.deepEqual(
    addresses.map(({ id, address, state }) => [id, address, state]),
    subject.hits.slice(0, 3).map((hit, at) => [at + 1, addressOf(hit.publicKey), 'dispensed']),
  );
  assert.equal(next, 5);
  const state = async (hit: Hit) => (await calls.findAddress(hit.publicKey))?.state;
  assert.equal(await state(subject.hits[0]!), 'dispensed');
  assert.equal(await state(subject.hits[8]!), 'available');
  await turn(subject.store, 'pet', 0, 6);
  assert.equal(await state(subject.hits[8]!), 'leased', 'as it is now');
  assert.equal(await calls.findAddress(randomBytes(32)), undefined);
  await assert.rejects(calls.auditPage({ after: 0, limit: 5, pool: 'none' }), {
    code: 'POOL_NOT_FOUND',
  });
});

test('one backup at a time: the next when that is ended', LIMIT, async () => {
  await using subject = await Subject.open();
  const [one, other] = [subject.connect().calls, subject.connect().calls];
  const [first, second] = [newId(), newId()];
  const making = one.makeBackup(by(1, first));
  await assert.rejects(other.makeBackup(by(2, second)), {
    code: 'BACKUP_RUNNING',
    retryAfterSeconds: 5,
  });
  const path = await making;
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await assertWholeBackup(path);
  await assert.rejects(
    one.makeBackup(by(2, newId())),
    { code: 'BACKUP_RUNNING' },
    'it is still sent',
  );
  other.endBackup(first);
  await nextTurn();
  assert.ok(existsSync(path), 'only its own receiver ends it');
  one.endBackup(first);
  await subject.untilFree();
  const next = await other.makeBackup(by(2, second));
  await assertWholeBackup(next);
});

test('a newer backup of the same token ends the one before, made or not', LIMIT, async () => {
  await using subject = await Subject.open();
  const [one, other] = [subject.connect().calls, subject.connect().calls];
  const [first, second, third] = [newId(), newId(), newId()];
  const left = await one.makeBackup(by(1, first));
  const ended = one.backupEnded(first);
  const making = other.makeBackup(by(1, second));
  // Which is first nobody knows: that it is made, or that it is ended.
  const superseded = making.catch((error) => assert.equal(error.code, 'BACKUP_REPLACED'));
  await ended;
  const path = await one.makeBackup(by(1, third));
  await superseded;
  await assertWholeBackup(path);
  assert.ok(!existsSync(left));
  assert.equal(subject.sent.length, 1);
  await other.backupEnded(second);
  // Its own receiver learns late that it was ended.
  one.endBackup(first);
  other.endBackup(second);
  await nextTurn();
  await assertWholeBackup(path);
});

test('a backup ends with its receiver, made or not, and with the server', LIMIT, async () => {
  await using subject = await Subject.open();
  const gone = subject.connect();
  const making = gone.calls.makeBackup(by(1, newId()));
  gone.channel.port2.close();
  await Promise.all([
    once(gone.channel.port1, 'close'),
    // Which is first nobody knows: the end of the making, or its being ended.
    making.catch((error) => assert.equal(error.code, 'STORE_UNAVAILABLE')),
  ]);
  await subject.untilFree();
  const late = subject.connect();
  assert.ok(existsSync(await late.calls.makeBackup(by(1, newId()))));
  late.channel.port2.close();
  await subject.untilFree();
  const stopped = subject.connect().calls.makeBackup(by(1, newId()));
  await Promise.all([subject.reader.stop(), stopped.catch(() => undefined)]);
  assert.deepEqual(subject.sent, []);
});

test('what a crash left is removed, and nothing else', LIMIT, async () => {
  await using subject = await Subject.open();
  const left = `sent-backup-${newId()}`;
  for (const name of [left, `${left}.0a1b2c3d.partial`, 'sent-backup-of-mine']) {
    writeFileSync(join(subject.directory, name), '');
  }
  await subject.newReader().stop();
  assert.deepEqual(subject.sent, ['sent-backup-of-mine']);
});

test('a store that cannot be read is reported, and read when it can be', LIMIT, async () => {
  await using subject = await Subject.open();
  const { calls } = subject.connect();
  const key = join(subject.directory, 'sealing.key');
  const saved = readFileSync(key);
  rmSync(key);
  await assert.rejects(calls.auditPage({ after: 0, limit: 5 }), {
    code: 'STORE_UNAVAILABLE',
    message: /^no audit: .*sealing\.key: missing/,
  });
  writeFileSync(key, saved, { mode: 0o600 });
  assert.equal((await calls.auditPage({ after: 0, limit: 5 })).addresses.length, 3);
});
