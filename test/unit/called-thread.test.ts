/** Threads where the system has no file descriptors for them: in a process of its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const PROGRAM = `
  import { closeSync, openSync } from 'node:fs';
  import { CalledThread } from '${new URL('../../src/called-thread.ts', import.meta.url)}';
  const answering = 'data:text/javascript,' + encodeURIComponent(\`
    import { workerData } from 'node:worker_threads';
    workerData.port.on('message', ({ id, arg }) => workerData.port.postMessage({ id, value: arg + workerData.one }));
  \`);
  const ends = [];
  const start = () => CalledThread.start({
    name: 'reader', entry: new URL(answering), data: { one: 1 }, unavailable: 'STORE_UNAVAILABLE',
    onEnd: (reason) => ends.push(reason?.code),
  });
  const shown = ({ code, message }) => ({ code, message });
  const first = start();
  const before = await first.call('add', 1);
  const taken = [];
  try {
    for (;;) taken.push(openSync('/dev/null'));
  } catch {}
  const second = start();
  const running = await second.running().catch(shown);
  const call = await second.call('add', 1).catch(shown);
  for (const file of taken) closeSync(file);
  const third = start();
  await third.running();
  const after = await third.call('add', 2);
  await Promise.all([first.terminate(), third.terminate()]);
  const late = await third.call('add', 2).catch(shown);
  console.log(JSON.stringify({ before, running, call, after, late, ends }));
`;

test('a thread that gets no descriptors is an error with a code, and the next one works', {
  timeout: 300_000,
}, () => {
  const node = [process.execPath, '--input-type=module', '--eval', PROGRAM];
  const args = ['-c', 'ulimit -n "$0" && exec "$@"', '80', ...node];
  const { stdout, stderr } = spawnSync('sh', args, { encoding: 'utf8' });
  const refused = {
    code: 'SYSTEM_LIMIT_REACHED',
    message: 'the system gives no reader thread (EMFILE): a limit of it is reached',
  };
  assert.deepEqual(
    JSON.parse(stdout || JSON.stringify(stderr)),
    {
      before: 2,
      running: refused,
      call: refused,
      after: 3,
      late: { code: 'STORE_UNAVAILABLE', message: 'the other thread is gone' },
      ends: ['SYSTEM_LIMIT_REACHED', null, null],
    },
    stderr,
  );
});
