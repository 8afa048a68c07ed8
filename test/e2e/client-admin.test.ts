/** Every call of the client that manages a server, to a real one. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type VanitypoolAdmin,
  VanitypoolClient,
  type VanitypoolError,
} from '../../src/client/client.ts';
import { readOwnToken } from '../../src/service/own-token.ts';
import { assertWholeBackup } from '../../src/store/sqlite/backup-file.ts';
import { FlakyProxy } from '../support/flaky-proxy.ts';
import { readyAddress } from '../support/http-app.ts';
import { EASY_POOL, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const POOL = { name: 'pump', suffix: EASY_POOL.suffix, acceptsImports: true };

interface Managed {
  readonly workspace: Workspace;
  readonly server: Server;
  readonly token: string | undefined;
  readonly client: VanitypoolClient;
  readonly admin: VanitypoolAdmin;
}

test('a server is managed', LIMIT, async (t) => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 150 }]);
  const server = await workspace.serve();
  const token = readOwnToken(workspace.data);
  const client = new VanitypoolClient({ url: server.url, token });
  const managed = { workspace, server, token, client, admin: client.admin };
  await t.test('imports, what became of each address, and who took how many', () => {
    return importAndAudit(managed);
  });
  await t.test('a pool from its making to its end', () => makeAndDelete(managed));
  await t.test('the sealing key is replaced, and a second time', () => rotate(managed));
  await t.test('a backup is whole, or an error; nothing is left of one that is broken off', () => {
    return backUp(managed);
  });
});

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'no error',
    (error) => (error as VanitypoolError).code,
  );

/** A backup whose first piece has come, when the server has seen the end of those before it. */
async function begun(admin: VanitypoolAdmin, signal?: AbortSignal) {
  for (;;) {
    const backup = admin.backup({ signal });
    const code = await codeOf(backup.next());
    if (code === 'no error') return backup;
    assert.equal(code, 'BACKUP_RUNNING');
    await sleep(20);
  }
}

/** Keypairs that the pool takes. */
function importable(count: number): string[] {
  const keys: string[] = [];
  while (keys.length < count) {
    const { address, secret } = readyAddress(1);
    if (address.endsWith(POOL.suffix)) keys.push(secret);
  }
  return keys;
}

async function rotate({ admin, workspace }: Managed): Promise<void> {
  const first = await admin.rotateKey();
  assert.equal(first.source, `file:${join(workspace.data, 'sealing.key')}`);
  assert.equal(statSync(first.oldSource.slice('file:'.length)).mode & 0o777, 0o600);
  const second = await admin.rotateKey();
  assert.deepEqual([second.from, second.source], [first.to, first.source]);
  assert.equal(await codeOf(admin.rotateKey({ to: 'env:NO_KEY' })), 'KEY_ROTATION_REFUSED');
  const both = await Promise.all([1, 2, 3].map(() => codeOf(admin.rotateKey())));
  assert.ok(both.includes('no error'), `${both}`);
  for (const code of both) assert.match(code, /^(no error|KEY_ROTATION_REFUSED)$/);
  const { source, to, toReseal } = await admin.rotateKey({ reseal: true });
  assert.ok(source === first.source && toReseal > 0);
  const view = async () => await admin.sealingKey();
  assert.deepEqual({ ...(await view()), toReseal: 0 }, { id: to, source, toReseal: 0 });
  while ((await view()).toReseal > 0) await sleep(20);
  await admin.rotateKey();
}

async function makeAndDelete({ client, admin, server }: Managed): Promise<void> {
  const short = { ...POOL, name: 'short', target: 100 };
  const made = await admin.createPool(short);
  assert.deepEqual([made.name, made.target, made.paused], ['short', 100, false]);
  assert.equal(await codeOf(admin.createPool(short)), 'POOL_EXISTS');
  assert.equal((await admin.changePool('short', { target: 50, ready: 10 })).target, 50);
  await server.until(({ available, ready }) => available + ready >= 50, 'short');
  await client.dispense('short', { count: 5 });

  assert.equal((await admin.pausePool('short')).paused, true);
  const impatient = new VanitypoolClient({ url: server.url, retries: 0 });
  assert.equal(await codeOf(impatient.dispense('short')), 'POOL_PAUSED');
  assert.equal((await admin.resumePool('short')).paused, false);
  await client.dispense('short');

  assert.equal(await codeOf(admin.deletePool('short', { burn: 'pet' })), 'BODY_INVALID');
  const { name, burned } = await admin.deletePool('short', { burn: 'short' });
  assert.ok(name === 'short' && burned >= 40, `${burned} burned`);
  assert.equal(await codeOf(client.pool('short')), 'POOL_NOT_FOUND');
  assert.equal(await codeOf(admin.deletePool('pet', { burn: 'pet' })), 'POOL_CONFIGURED');
}

async function importAndAudit({ client, admin, server }: Managed): Promise<void> {
  await admin.createPool({ ...POOL, target: 20 });
  await admin.pausePool('pump');
  const keys = importable(3);
  assert.deepEqual(await admin.importKeypairs('pump', keys), { imported: 3, duplicates: 0 });
  assert.deepEqual(await admin.importKeypairs('pump', keys), { imported: 0, duplicates: 3 });
  assert.equal(await codeOf(admin.importKeypairs('pump', ['1'])), 'KEYPAIR_REFUSED');
  assert.equal(await codeOf(admin.importKeypairs('pet', keys)), 'IMPORTS_REFUSED');
  await admin.resumePool('pump');

  await server.until(({ available, leased }) => available + leased >= 20);
  const since = new Date();
  const tomorrow = new Date(Date.now() + 86_400_000);
  const taken = [
    ...(await client.dispense('pet', { count: 9 })),
    ...(await client.dispense('pump')),
  ];
  // Known when the store has recorded it.
  let entries = await Array.fromAsync(admin.audit());
  while (entries.length < 10) entries = await Array.fromAsync(admin.audit());
  const ids = (rows: readonly { id: number }[]) =>
    rows.map(({ id }) => id).toSorted((a, b) => a - b);
  assert.deepEqual(ids(entries), ids(taken));
  assert.deepEqual(ids(await Array.fromAsync(admin.audit({ since }))), ids(taken));
  assert.equal((await Array.fromAsync(admin.audit({ since: tomorrow }))).length, 0);
  assert.deepEqual((await Array.fromAsync(admin.auditPages())).flat(), entries);
  const [last] = await Array.fromAsync(admin.audit({ pool: 'pump' }));
  const { id, address } = taken.at(-1)!;
  assert.deepEqual([last?.id, last?.address, last?.state], [id, address, 'dispensed']);
  assert.deepEqual(await Array.fromAsync(admin.audit({ pool: 'pump', after: id })), []);

  const { since: today, takers } = await admin.takers();
  const isSameDay = new Date(today) <= since;
  assert.deepEqual(takers, isSameDay ? [{ token: null, addresses: 10 }] : takers);
  const access = await client.access();
  assert.deepEqual([access.required, access.requiredAfterFirst], [false, true]);
  assert.deepEqual([access.token?.name, access.token?.pools], ['command line', null]);
  for (const { level, message } of await admin.warnings()) assert.ok(level && message);

  const view = await admin.address(address);
  assert.deepEqual([view.id, view.pool, view.state], [id, 'pump', 'dispensed']);
  assert.equal(await codeOf(admin.address('1'.repeat(44))), 'ADDRESS_NOT_FOUND');
}

async function backUp({ workspace, server, token, admin }: Managed): Promise<void> {
  await server.until(({ ground }) => ground >= 100);
  const file = join(workspace.path, 'taken.backup');
  let size = 0;
  const onSize = (bytes: number) => {
    size = bytes;
  };
  await writeFile(file, admin.backup({ onSize }), { mode: 0o600 });
  await assertWholeBackup(file);
  assert.ok(size > 10_000);
  assert.equal(statSync(file).size, size);

  await using proxy = await FlakyProxy.before(server.url);
  const far = new VanitypoolClient({ url: proxy.url, token }).admin;
  proxy.fates.push('halve-reply', { status: 200, body: '<html>Log in</html>' });
  const cut = far.backup();
  assert.ok((await cut.next()).value!.length > 0);
  assert.equal(await codeOf(Array.fromAsync(cut)), 'UNREACHABLE');
  assert.equal(await codeOf(Array.fromAsync(far.backup())), 'REPLY_INVALID');

  for await (const piece of admin.backup()) {
    assert.ok(piece.length > 0);
    break;
  }
  const controller = new AbortController();
  const reason = new Error('enough');
  const aborted = await begun(admin, controller.signal);
  controller.abort(reason);
  await assert.rejects(Array.fromAsync(aborted), (error) => error === reason);
  await Array.fromAsync(await begun(admin));
}
