/** What a node shows of its key, and how another one is enrolled: without a database, which takes a server. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createSealingKey, publicSource, sealingKeyId } from '../../src/keypair/sealing-key.ts';
import { vanitypoolHere } from '../support/cli-here.ts';

const cwd = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
after(() => rmSync(cwd, { recursive: true }));

test('the sealing key is shown as a grinder takes it', async () => {
  const source = `file:${join(cwd, 'key')}`;
  const env = { VANITYPOOL_STORE__SEALING_KEY: source };
  const none = await vanitypoolHere(['key', 'show'], env, cwd);
  assert.match(none.stderr, /there is no sealing key yet.*\(SEALING_KEY_INVALID\)/);
  const { publicKey } = await createSealingKey(source);
  const half = publicSource(publicKey);
  const { stdout } = await vanitypoolHere(['key', 'show'], env, cwd);
  const id = sealingKeyId(publicKey);
  assert.equal(stdout, `# sealing key ${id}, of ${source}\nstore.sealing_key = "${half}"\n`);
  const json = await vanitypoolHere(['key', 'show', '--json'], env, cwd);
  assert.deepEqual(JSON.parse(json.stdout), { id, source, publicKey: half });
  // A grinder shows what it has. The line is the configuration of one.
  writeFileSync(join(cwd, 'vanitypool.toml'), stdout);
  const grinder = { VANITYPOOL__ROLE: 'grinder', VANITYPOOL_STORE__URL: 'postgres://db.example/a' };
  const again = await vanitypoolHere(['key', 'show'], grinder, cwd);
  assert.equal(again.lines[1], `store.sealing_key = "${half}"`);
});

test('what is no node, no key or no database is refused', async () => {
  const [id, key] = [randomBytes(16).toString('hex'), randomBytes(32).toString('hex')];
  const enrol = (...words: string[]) =>
    vanitypoolHere(['nodes', 'enrol', ...words, '--config', '/dev/null'], {}, cwd);
  for (const words of [
    [id],
    [id, '--key', key.slice(1)],
    [id, '--key', key.toUpperCase()],
    [key, '--key', key],
    ['--key', key],
  ]) {
    const { code, stderr } = await enrol(...words);
    assert.deepEqual([code, /\(USAGE_INVALID\)$/m.test(stderr)], [2, true], stderr);
  }
  const { code, stderr } = await enrol(id, '--key', key);
  assert.equal(code, 2);
  assert.match(stderr, /^vanitypool: store.url: .*postgres:.*\(CONFIG_INVALID\)$/m);
});
