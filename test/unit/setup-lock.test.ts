/** The lock of set-up, held by real processes, some of them process 1 of a namespace of their own. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { noNamespaces } from '../support/namespaces.ts';

const LIMIT = { timeout: 300_000 };
const MODULE = new URL('../../tools/setup-lock.mjs', import.meta.url).href;
/** Says `in`, stays until it is sent away, and says `out`. */
const PROGRAM = `
  import { withLock } from ${JSON.stringify(MODULE)};
  import { once } from 'node:events';
  await withLock(process.argv[1], async () => {
    console.log('in');
    await once(process.stdin.resume(), 'end');
    console.log('out');
  });`;
const PROCESS_1 = ['unshare', '--pid', '--mount', '--mount-proc', '--fork', '--kill-child'];

class Holder {
  readonly process: ChildProcess;
  said = '';

  /** Ends with its test, at the latest. */
  constructor(t: TestContext, lock: string, launcher: readonly string[] = []) {
    const program = [process.execPath, '--input-type=module', '-e', PROGRAM, lock];
    const [command, ...args] = [...launcher, ...program];
    this.process = spawn(command!, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    t.after(() => this.process.kill('SIGKILL'));
    for (const stream of [this.process.stdout!, this.process.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.said += text;
      });
  }

  async says(text: string): Promise<void> {
    while (!this.said.includes(text)) {
      assert.equal(this.process.exitCode ?? this.process.signalCode, null, this.said);
      await sleep(20);
    }
  }

  async leave(): Promise<string> {
    const closed = once(this.process, 'close');
    this.process.stdin!.end();
    await closed;
    return this.said;
  }

  async kill(): Promise<void> {
    const closed = once(this.process, 'close');
    this.process.kill('SIGKILL');
    await closed;
  }
}

function lockIn(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-lock-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'build', 'setup.lock');
}

/** As if its owner lived: who takes it then knows better. */
function keepTouching(t: TestContext, lock: string): void {
  const touch = () => {
    if (existsSync(lock)) utimesSync(lock, Date.now() / 1000, Date.now() / 1000);
  };
  const beat = setInterval(touch, 500);
  t.after(() => clearInterval(beat));
}

/** Leaves a lock with this owner. */
function leave(lock: string, owner: object): void {
  mkdirSync(lock, { recursive: true });
  writeFileSync(join(lock, 'owner'), JSON.stringify(owner));
}

const WAITING = 'waiting for another set-up';

suite('the lock of a set-up', { concurrency: true }, () => {
  test('of many at once one is in', LIMIT, async (t) => {
    const lock = lockIn(t);
    const holders = Array.from({ length: 5 }, () => new Holder(t, lock));
    for (let left = holders; left.length > 0; ) {
      while (!left.some(({ said }) => said.includes('in\n'))) await sleep(20);
      const inside = left.filter(({ said }) => said.includes('in\n'));
      assert.equal(inside.length, 1);
      await inside[0]!.leave();
      left = left.filter((one) => one !== inside[0]);
    }
    assert.equal(existsSync(lock), false);
  });

  for (const [what, launcher, without] of [
    ['a process', [], undefined],
    ['process 1 of a container', PROCESS_1, noNamespaces()],
  ] as const) {
    test(`the lock of ${what} that was killed is taken over at once`, LIMIT, async (t) => {
      if (without !== undefined) return t.skip(without);
      const lock = lockIn(t);
      const first = new Holder(t, lock, launcher);
      await first.says('in\n');
      const owner = readFileSync(join(lock, 'owner'), 'utf8');
      if (launcher.length > 0) assert.match(owner, /"pid":1,/);
      await first.kill();
      assert.ok(existsSync(lock), 'it was left');
      // Each container has another namespace, unless the system uses a number again: that is the hard case.
      const namespace = /pid:\[\d+\]/.exec(owner)![0];
      const rename = `owner=$(readlink /proc/self/ns/pid) && sed -i "s/${namespace.replace(/[[\]]/g, '.')}/$owner/" "$1/owner" && shift && exec "$@"`;
      if (launcher.length === 0) keepTouching(t, lock);
      const second = new Holder(t, lock, [...launcher, 'sh', '-c', rename, 'sh', lock]);
      if (launcher.length > 0) keepTouching(t, lock);
      await second.says('in\n');
      assert.equal(await second.leave(), 'in\nout\n');
    });
  }

  test('a lock of another process that has the number now is taken over', LIMIT, async (t) => {
    const lock = lockIn(t);
    const alive = new Holder(t, `${lock}-other`);
    await alive.says('in\n');
    const { scope, pid, start } = JSON.parse(readFileSync(`${lock}-other/owner`, 'utf8'));
    if (start === undefined) return t.skip('this system does not report when a process began');
    leave(lock, { scope, pid, start: String(Number(start) - 1) });
    keepTouching(t, lock);
    const next = new Holder(t, lock);
    await next.says('in\n');
    await next.leave();
    await alive.leave();
  });

  test(
    'a lock of another boot, container or machine is taken over when nobody touches it',
    LIMIT,
    async (t) => {
      const [left, held, unnamed, cut] = [lockIn(t), lockIn(t), lockIn(t), lockIn(t)];
      leave(left, { scope: 'elsewhere', pid: 1, start: '1' });
      leave(held, { scope: 'elsewhere', pid: 1, start: '1' });
      keepTouching(t, held);
      mkdirSync(unnamed, { recursive: true });
      // The power failed before its bytes were on the disk.
      mkdirSync(cut, { recursive: true });
      writeFileSync(join(cut, 'owner'), '');
      const waiting = new Holder(t, held);
      const taking = [left, unnamed, cut].map((lock) => new Holder(t, lock));
      await Promise.all(taking.map((one) => one.says('in\n')));
      await Promise.all([waiting, ...taking].map((one) => one.says(WAITING)));
      assert.doesNotMatch(waiting.said, /in\n/);
      await Promise.all([waiting.kill(), ...taking.map((one) => one.leave())]);
    },
  );

  test('one that is stopped keeps its lock, however long', LIMIT, async (t) => {
    const lock = lockIn(t);
    const owner = new Holder(t, lock);
    await owner.says('in\n');
    owner.process.kill('SIGSTOP');
    const next = new Holder(t, lock);
    await next.says(WAITING);
    // Longer than a lock of elsewhere may be silent.
    await sleep(12_000);
    assert.doesNotMatch(next.said, /in\n/);
    owner.process.kill('SIGCONT');
    await owner.leave();
    await next.says('in\n');
    await next.leave();
  });

  test('one whose lock was taken over meanwhile leaves it to the other', LIMIT, async (t) => {
    const lock = lockIn(t);
    const first = new Holder(t, lock);
    await first.says('in\n');
    rmSync(lock, { recursive: true });
    const second = new Holder(t, lock);
    await second.says('in\n');
    await first.leave();
    assert.ok(existsSync(lock), 'it is held');
    await second.leave();
    assert.equal(existsSync(lock), false);
  });
});
