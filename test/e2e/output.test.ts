/**
 * Standard output that cannot be written: nothing is taken or made for it, and what was taken before
 * it failed can be had again. With a server and without one, on real descriptors and full disks.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { COMMAND_NAMES } from '../../src/cli/help.ts';
import { unwritable } from '../../src/cli/output.ts';
import { run } from '../../src/cli/run.ts';
import type { Outcome } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { CollectedOutputs } from '../support/collected-outputs.ts';
import { ManagedServer } from '../support/managed-server.ts';
import { noNamespaces } from '../support/namespaces.ts';
import { asTold, BROKEN, diskIn, shell, shellWithDisk } from '../support/outputs.ts';
import { EASY_POOL, type Handed } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const MOUNTS = { ...LIMIT, skip: noNamespaces() ?? false };
/** Files of one page: the first line of 3,000 characters fits, or nothing at all. */
const ONE_PAGE = 'size=4k';

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'vanitypool-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

function assertUnwritable({ code, stderr }: Pick<Outcome, 'code' | 'stderr'>, errno: string): void {
  const told = `vanitypool: standard output: cannot be written (${errno}); nothing was done (FILE_NOT_WRITABLE)\n`;
  assert.deepEqual([code, stderr], [1, told]);
}

/** What commands took and made, as they say themselves: with the server, and without it. */
async function dispensed(managed: ManagedServer): Promise<number> {
  const { stdout } = await managed.run('status', '--json');
  return JSON.parse(stdout).pools[0].dispensed;
}

async function tokens(
  managed: ManagedServer,
): Promise<{ name: string; revokedAt: string | null }[]> {
  const { stdout } = await managed.run('token', 'list', '--json');
  return JSON.parse(stdout).tokens;
}

const handedIn = ({ lines }: Outcome): Handed[] => lines.map((line) => JSON.parse(line));

test('every command looks at its output before it does anything', async () => {
  for (const name of COMMAND_NAMES.filter((command) => command !== 'serve')) {
    for (const args of [[name], [name, '--help'], ['help', name], ['--version']]) {
      const outputs = new CollectedOutputs(() => {
        throw unwritable({ code: 'EPIPE' }, '; nothing was done');
      });
      const code = await run(args, outputs);
      assert.equal(outputs.stdout, '');
      assertUnwritable({ code, stderr: outputs.said.join('') }, 'EPIPE');
    }
  }
});

test('each way to have no output is reported, by a process', LIMIT, async (t) => {
  const cwd = directory(t);
  for (const [errno, script] of BROKEN) {
    const words = ['grind', '--suffix', 't', '--json', '--secrets'];
    const outcomes = await Promise.all(
      [words, words.slice(0, 3), ['help']].map((args) => shell(script, args, { cwd })),
    );
    for (const outcome of outcomes) assertUnwritable(outcome, errno);
  }
  assert.deepEqual(readdirSync(cwd), []);
  // The output of a server is its log, on standard error.
  const help = await shell('"$0" "$@" > /dev/full', ['serve', '--help'], { cwd });
  const told = 'vanitypool: standard output: cannot be written (ENOSPC) (FILE_NOT_WRITABLE)\n';
  assert.deepEqual([help.code, help.stderr], [1, told]);
});

test('nothing is dispensed and no token made for an output that is none', LIMIT, async () => {
  await using managed = new ManagedServer([{ ...EASY_POOL, target: 20 }]);
  await managed.serve();
  await managed.untilGround(10);
  const { options } = managed;
  const token = ['token', 'create', '--name', 'shop', '--scope', 'read'];
  const look = async () => {
    for (const [errno, script] of BROKEN) {
      assertUnwritable(await shell(script, ['dispense', 'pet'], options), errno);
      assertUnwritable(await shell(script, token, options), errno);
    }
    assert.equal(await dispensed(managed), 0);
    assert.deepEqual(await tokens(managed), []);
  };
  await look();
  assert.equal(await managed.server.kill('SIGTERM'), 0);
  await look();
});

test(
  'a full disk: what it did not take comes again, a token that it did not is revoked',
  MOUNTS,
  async () => {
    await using managed = new ManagedServer([{ ...EASY_POOL, target: 200 }]);
    await managed.serve();
    await managed.untilGround(200);
    const { options } = managed;
    const disk = diskIn(managed.workspace.path, ONE_PAGE);
    const fill = async () => {
      const before = await dispensed(managed);
      const args = ['dispense', 'pet', '--count', '40'];
      // What was written is listed on standard error, before the output of the command.
      const script = '"$0" "$@" > disk/out; code=$?; grep -c "}$" disk/out >&2; exit $code';
      const full = await shellWithDisk(disk, script, args, options);
      assert.equal(full.code, 1);
      const told =
        /^vanitypool: standard output: cannot be written \(ENOSPC\); (\d+) of 40 were handed out and not written: ids ([\d, -]+) \(FILE_NOT_WRITABLE\)$/m.exec(
          full.stderr,
        ) ?? assert.fail(full.stderr);
      const written = Number(/^\d+$/m.exec(full.stderr)![0]);
      assert.ok(written > 0 && Number(told[1]) === 40 - written, full.stderr);
      const again = await asTold(full.stderr, options);
      assert.equal(again.code, 0, again.stderr);
      const handed = handedIn(again);
      assert.equal(handed.length, 40);
      const named = told[2]!.split(', ').flatMap((run) => {
        const [first, last = first] = run.split('-').map(Number);
        return Array.from({ length: last! - first! + 1 }, (_, index) => first! + index);
      });
      assert.deepEqual(
        named,
        handed.slice(written).map(({ id }) => id),
      );
      assert.ok(handed.every(({ secretKey }) => !full.stderr.includes(secretKey)));
      assert.equal((await dispensed(managed)) - before, 40);
    };
    const full = 'head -c 4096 /dev/zero > disk/out && "$0" "$@" >> disk/out';
    const make = async (name: string) => {
      const args = ['token', 'create', '--name', name, '--scope', 'read'];
      const { code, stderr } = await shellWithDisk(disk, full, args, options);
      const told = `token ${name} was made, and nobody has its text: it is revoked, give the next another name`;
      const all = `vanitypool: standard output: cannot be written (ENOSPC); ${told} (FILE_NOT_WRITABLE)\n`;
      assert.deepEqual([code, stderr], [1, all]);
      const made = (await tokens(managed)).find((token) => token.name === name);
      assert.notEqual(made!.revokedAt, null);
    };
    await fill();
    await make('served');
    assert.equal(await managed.server.kill('SIGTERM'), 0);
    await fill();
    await make('stored');
  },
);

test('one that cannot be revoked either is named, with what to type', MOUNTS, async (t) => {
  const cwd = directory(t);
  let makes = true;
  const asked: string[] = [];
  const server = createServer(({ method, url }, reply) => {
    asked.push(`${method} ${url}`);
    const problem = { code: 'STORE_UNAVAILABLE', detail: 'not now' };
    if (method === 'POST' && makes) reply.writeHead(201).end('{"token":"vp_x"}');
    else reply.writeHead(503).end(JSON.stringify(problem));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const args = ['token', 'create', '--name', 'shop', '--scope', 'read', '--url', url];
  const script = 'head -c 4096 /dev/zero > disk/out && "$0" "$@" >> disk/out';
  const unprinted = await shellWithDisk(diskIn(cwd, ONE_PAGE), script, args, { cwd });
  assert.equal(unprinted.code, 1);
  assert.match(unprinted.stderr, /token shop was made, .* it cannot be revoked now \(not now\)/);
  const advice = `  vanitypool token revoke shop --url ${url}\n`;
  assert.ok(unprinted.stderr.endsWith(`Revoke it:\n${advice}`), unprinted.stderr);
  assert.deepEqual(asked.splice(0), ['POST /v1/tokens', 'DELETE /v1/tokens/shop']);
  // The store may have gone on after the server had answered.
  makes = false;
  const unknown = await vanitypoolHere(args, {}, cwd);
  assert.equal(unknown.code, 1);
  const told = 'If it was made, nobody has its text, so revoke it:\n';
  assert.ok(unknown.stderr.endsWith(told + advice), unknown.stderr);
});

test('grind keeps in a file what it could not print', MOUNTS, async (t) => {
  const cwd = directory(t);
  mkdirSync(join(cwd, 'keys'));
  const args = ['grind', '--suffix', 't', '--count', '40', '--json', '--secrets'];
  const script = 'cd keys && "$0" "$@" > ../disk/out; code=$?; cat ../disk/out; exit $code';
  const full = await shellWithDisk(diskIn(cwd, ONE_PAGE), script, args, { cwd });
  assert.equal(full.code, 1);
  const [, file] =
    /^vanitypool: standard output: cannot be written \(ENOSPC\); the key is in (\S+) /m.exec(
      full.stderr,
    ) ?? assert.fail(full.stderr);
  assert.deepEqual(readdirSync(join(cwd, 'keys')), [file]);
  const path = join(cwd, 'keys', file!);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const [printed] = full.lines.filter((line) => line.endsWith('}'));
  assert.ok(printed !== undefined && !printed.includes(file!.replace('.json', '')));
  const verified = await vanitypoolHere(['verify', path]);
  assert.equal(verified.code, 0, verified.stdout);
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).length, 64);
});

test('a reader that is slow gets all of it', LIMIT, async (t) => {
  const files = Array.from({ length: 2000 }, (_, index) => `${'x'.repeat(200)}-${index}`);
  const script = '"$0" "$@" | (sleep 1; cat)';
  const { lines, stderr } = await shell(script, ['verify', '--json', ...files], {
    cwd: directory(t),
  });
  assert.equal(stderr, '');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).file),
    files,
  );
});

test('standard error that cannot be written ends nothing', LIMIT, async (t) => {
  const cwd = directory(t);
  const args = ['grind', '--suffix', '[a-z]t', '--count', '2'];
  const { code, lines } = await shell('"$0" "$@" 2> /dev/full', args, { cwd });
  assert.equal(code, 0);
  assert.deepEqual(lines.toSorted(), readdirSync(cwd).toSorted());
});

test('a server leaves the pipes of a script as they were', LIMIT, async (t) => {
  const cwd = directory(t);
  const script = `
    exec 3>&1
    flags() { grep flags /proc/$$/fdinfo/3; }
    flags > before
    "$0" "$@" 2> log & server=$!
    until grep -q listening log; do sleep 0.1; kill -0 $server || exit 1; done
    kill $server; wait $server; code=$?
    flags > after
    exit $code`;
  const args = ['serve', '--port', '0', '--threads', '0'];
  const { code, stderr } = await shell(script, args, { cwd });
  assert.equal(code, 0, stderr);
  assert.equal(readFileSync(join(cwd, 'after'), 'utf8'), readFileSync(join(cwd, 'before'), 'utf8'));
});

test(
  'to look at an output sends nothing to it, where nothing is a message too',
  LIMIT,
  async (t) => {
    const receiver = createSocket('udp4');
    t.after(() => receiver.close());
    receiver.bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    const message = once(receiver, 'message');
    const place = `/dev/udp/127.0.0.1/${receiver.address().port}`;
    const { code, stderr } = await shell(`"$0" "$@" > ${place}`, ['--version'], {
      cwd: directory(t),
    });
    assert.equal(code, 0, stderr);
    const [text] = (await message) as [Buffer];
    assert.match(text.toString(), /^\d+\.\d+\.\d+\n$/);
  },
);
