import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { LOG_LEVELS } from '../../src/log.ts';

const MODULE = JSON.stringify(new URL('../../src/log.ts', import.meta.url).href);

/** What a program with this text writes to standard error; standard output must stay empty. */
function logged(body: string): string[] {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', `import { createLog } from ${MODULE};\n${body}`],
    { encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
  assert.equal(stdout, '');
  return stderr.split('\n').slice(0, -1);
}

test('a line is one JSON object with level, time, thread, message and fields', () => {
  const lines = logged(`
    const log = createLog('store', 'info', false);
    log.info({ pool: 'pet', count: 3 }, 'refilled');
    log.warn('disk is nearly full');`);
  const [first, second] = lines.map((line) => JSON.parse(line));
  assert.equal(lines.length, 2);
  const { time, ...rest } = first;
  assert.deepEqual(rest, {
    level: 'info',
    thread: 'store',
    pool: 'pet',
    count: 3,
    msg: 'refilled',
  });
  assert.equal(new Date(time).toISOString(), time);
  assert.equal(second.level, 'warn');
  assert.equal(second.msg, 'disk is nearly full');
});

test('each level shows itself and what is graver', () => {
  const program = LOG_LEVELS.map(
    (level) => `
    { const log = createLog(${JSON.stringify(level)}, ${JSON.stringify(level)}, false);
      log.debug('debug'); log.info('info'); log.warn('warn'); log.error('error'); }`,
  ).join('');
  const shown: Record<string, string[]> = {};
  for (const { thread, msg } of logged(program).map((line) => JSON.parse(line))) {
    shown[thread] = [...(shown[thread] ?? []), msg];
  }
  assert.deepEqual(shown, {
    debug: ['debug', 'info', 'warn', 'error'],
    info: ['info', 'warn', 'error'],
    warn: ['warn', 'error'],
    error: ['error'],
  });
});

test('for a person a line is time, level, message and fields', () => {
  const lines = logged(`
    const log = createLog('main', 'info', true);
    log.info({ url: 'http://127.0.0.1:5057', figures: { ready: 1 } }, 'listening');
    log.error('gone');`);
  assert.match(
    lines[0]!,
    /^\d\d:\d\d:\d\d info {2}listening url=http:\/\/127\.0\.0\.1:5057 figures=\{"ready":1\}$/,
  );
  assert.match(lines[1]!, /^\d\d:\d\d:\d\d error gone$/);
});

test('lines are written at once: a crash loses none', () => {
  const { stderr } = spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { createLog } from ${MODULE};
       createLog('main', 'info', false).info('last words');
       process.kill(process.pid, 'SIGKILL');`,
    ],
    { encoding: 'utf8' },
  );
  assert.equal(JSON.parse(stderr).msg, 'last words');
});

test('a reader that left does not stop the program', async () => {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { createLog } from ${MODULE};
       const log = createLog('main', 'info', false);
       process.stdin.once('data', () => {
         for (let line = 0; line < 1000; line++) log.info('nobody reads this');
         process.stdout.write('alive');
         process.exit(0);
       });`,
    ],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  child.stderr.destroy();
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stdin.write('go');
  const [code] = await once(child, 'close');
  assert.equal(Buffer.concat(output).toString(), 'alive');
  assert.equal(code, 0);
});
