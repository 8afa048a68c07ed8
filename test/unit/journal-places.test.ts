/** Where journals may lie on which machine, and who has their directory. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { suite, test } from 'node:test';
import {
  choosePlace,
  JournalDirectory,
  makePrivate,
  memoryBase,
  memoryPath,
  THIS_MACHINE,
} from '../../src/pool/journal-places.ts';
import { testMachine, WITHOUT_MEMORY } from '../support/journal-machine.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };

suite('where there is memory', { skip: WITHOUT_MEMORY }, () => {
  test('"auto" takes memory beside the host’s processes alone', () => {
    using host = testMachine();
    assert.equal(choosePlace('auto', host).isMemory, true);
    assert.equal(statSync(memoryBase(host)).mode & 0o777, 0o700);
    for (const [kind, inode] of [
      ['pid', 4026532201],
      ['ipc', 4026532200],
      ['pid', undefined],
      ['ipc', undefined],
    ] as const) {
      const machine = {
        ...host,
        namespace: (asked: 'pid' | 'ipc') => (asked === kind ? inode : host.namespace(asked)),
      };
      const { isMemory, reason } = choosePlace('auto', machine);
      assert.equal(isMemory, false, `${kind} ${inode}`);
      assert.match(reason, new RegExp(`${kind} namespace`, 'i'));
    }
  });

  test('"memory" and "data" take what they say, in a container too', () => {
    using container = testMachine({ namespace: () => 4026532201 });
    assert.equal(choosePlace('memory', container).isMemory, true);
    assert.equal(choosePlace('data', container).isMemory, false);
  });

  test('a place that others can enter is none', () => {
    using machine = testMachine();
    mkdirSync(memoryBase(machine));
    chmodSync(memoryBase(machine), 0o755);
    assert.match(choosePlace('auto', machine).reason, /not of this user alone/);
    assert.throws(() => choosePlace('memory', machine), {
      code: 'CONFIG_INVALID',
      message: /^store\.journal: "memory" cannot be had: .*; allowed here: "auto" or "data"$/,
    });
  });
});

test('where there is no memory-backed storage "auto" takes the disk, and "memory" is refused', () => {
  for (const memory of ['/proc', '/nowhere']) {
    const machine = { ...THIS_MACHINE, memory };
    const { isMemory, reason } = choosePlace('auto', machine);
    assert.deepEqual([isMemory, reason], [false, `${memory} is no memory-backed storage (tmpfs)`]);
    assert.throws(() => choosePlace('memory', machine), { code: 'CONFIG_INVALID' });
  }
});

test('this machine says which start it is of, and which namespaces a process has', (t) => {
  if (!existsSync('/proc/self/ns/pid')) return t.skip('there are no namespaces here');
  assert.match(THIS_MACHINE.bootId()!, /^[0-9a-f-]{36}$/);
  for (const kind of ['pid', 'ipc'] as const) {
    assert.equal(THIS_MACHINE.namespace(kind), statSync(`/proc/self/ns/${kind}`).ino);
  }
});

test('two stores, and two places of one store, have directories of their own', () => {
  const [one, other] = ['a', 'b'].map((digit) => digit.repeat(32)) as [string, string];
  const paths = [
    memoryPath(THIS_MACHINE, one, '1'.repeat(16)),
    memoryPath(THIS_MACHINE, one, '2'.repeat(16)),
    memoryPath(THIS_MACHINE, other, '1'.repeat(16)),
  ];
  assert.equal(new Set(paths).size, 3);
  for (const path of paths) assert.ok(path.startsWith(`${memoryBase(THIS_MACHINE)}/`));
});

test('a directory has one owner, until that is gone', LIMIT, async (t) => {
  const root = temporaryDirectory();
  t.after(() => removeDirectory(root));
  const path = join(root, 'journal');
  makePrivate(path);
  const module = new URL('../../src/pool/journal-places.ts', import.meta.url).href;
  const program = `
    import { JournalDirectory } from ${JSON.stringify(module)};
    globalThis.directory = new JournalDirectory(process.argv[1]);
    console.log(globalThis.directory.hold());
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, path]);
  t.after(() => child.kill('SIGKILL'));
  assert.equal((await once(createInterface(child.stdout), 'line'))[0], 'true');
  using directory = new JournalDirectory(path);
  assert.equal(directory.hold(), false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(directory.hold(), true);
  assert.equal(directory.hold(), true, 'it has it already');
  using second = new JournalDirectory(path);
  assert.equal(second.hold(), false);
});

test('what is not ours stays, with its directory', { skip: WITHOUT_MEMORY }, () => {
  using machine = testMachine();
  const path = join(machine.memory, 'place');
  makePrivate(path);
  for (const name of ['1-1.journal', 'owner', 'notes']) writeFileSync(join(path, name), '');
  using directory = new JournalDirectory(path);
  assert.ok(directory.hold());
  directory.removeAll('owner');
  assert.deepEqual(readdirSync(path), ['notes']);
});
