/**
 * The server of ops/Dockerfile as a container has it (test/support/image.ts): only the files that are
 * copied, a read-only root, a user without a name or a home, no capability, 64 MB at /dev/shm, process 1.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeCertificate } from '../support/certificates.ts';
import { vanitypool } from '../support/cli.ts';
import { imageLauncher, makeImage } from '../support/image.ts';
import { forkedBy, killWhole, noNamespaces } from '../support/namespaces.ts';
import { assertIdentity, EASY_POOL, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const USER = 10001;
const CHECK = fileURLToPath(new URL('../../ops/healthcheck.mjs', import.meta.url));
const MISSING = noNamespaces();
const IMAGE = mkdtempSync(join(tmpdir(), 'vanitypool-image-'));
if (MISSING === undefined) makeImage(IMAGE);
after(() => rmSync(IMAGE, { recursive: true }));

/** What a new volume is: for Docker a directory of the image, for Kubernetes a disk with an `fsGroup`. */
const VOLUMES = {
  docker(path: string): void {
    chownSync(path, USER, USER);
  },
  kubernetes(path: string): void {
    chownSync(path, 0, USER);
    chmodSync(path, 0o2775);
    mkdirSync(join(path, 'lost+found'), { mode: 0o700 });
  },
};

function inImage(workspace: Workspace, kind: keyof typeof VOLUMES, shm?: string): string {
  const root = join(workspace.path, 'root');
  const volumes = join(workspace.path, 'volumes');
  const [data, state] = [join(volumes, 'data'), join(volumes, 'state')];
  mkdirSync(root);
  for (const path of [data, state]) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    VOLUMES[kind](path);
  }
  workspace.launcher = imageLauncher({
    ...{ image: IMAGE, root, data, state },
    ...(shm !== undefined && { shm }),
  });
  workspace.environment = {
    VANITYPOOL_POOLS__0__NAME: EASY_POOL.name,
    VANITYPOOL_POOLS__0__SUFFIX: EASY_POOL.suffix,
    VANITYPOOL_POOLS__0__TARGET: String(EASY_POOL.target),
  };
  return volumes;
}

function check(volumes: string): { status: number | null; stderr: string } {
  const env = { ...process.env, VANITYPOOL_STORE__URL: `file:${volumes}/data/store` };
  return spawnSync(process.execPath, [CHECK], { env, encoding: 'utf8' });
}

function statusOf(server: Server): string {
  return readFileSync(`/proc/${forkedBy(server)}/status`, 'utf8');
}

test('the image serves, stops by SIGTERM, and its end burns nothing', LIMIT, async (t) => {
  if (MISSING !== undefined) return t.skip(MISSING);
  await using workspace = new Workspace();
  const volumes = inImage(workspace, 'docker');
  const first = await workspace.serve();
  assert.match(statusOf(first), /^NSpid:\s+\d+\s+1$/m, 'it is process 1');
  assert.match(statusOf(first), new RegExp(`^Uid:(\\s+${USER}){4}$`, 'm'));
  assert.match(statusOf(first), /^CapBnd:\s+0+$/m);
  const [line] = first.log.filter(({ msg }) => msg === 'journals');
  assert.deepEqual([line!.place, line!.directory], ['data', '/data/store/journal']);
  const warnings = first.log.filter(({ level }) => level !== 'info' && level !== 'debug');
  assert.deepEqual(warnings, [], 'the witness and the kernel are there, and nothing is short');
  await first.until(({ ready }) => ready >= 256);
  assert.equal((await first.dispense(5)).length, 5);
  assert.match(await (await fetch(first.url)).text(), /src="dashboard\/main\.js"/);
  assert.ok(existsSync(join(volumes, 'state', 'vanitypool')), 'the witness');
  assert.deepEqual([check(volumes).status, check(volumes).stderr], [0, '']);
  await killWhole(first);
  assert.equal(check(volumes).status, 1);
  assert.match(check(volumes).stderr, /^vanitypool: not healthy: .*ECONNREFUSED.*\n$/);

  const second = await workspace.serve();
  const figures = await second.pool();
  assertIdentity(figures);
  assert.deepEqual([figures.burned, figures.dispensed], [0, 5]);
  process.kill(forkedBy(second), 'SIGTERM');
  assert.equal(await second.exited, 0, second.output);
  assert.match(second.output, /stopped cleanly: nothing was burned/);
  assert.match(check(volumes).stderr, /^vanitypool: not healthy: .*server\.json/);
});

test('a volume of Kubernetes, of root and open to a group, is served', LIMIT, async (t) => {
  if (MISSING !== undefined) return t.skip(MISSING);
  await using workspace = new Workspace();
  const volumes = inImage(workspace, 'kubernetes');
  const server = await workspace.serve();
  await server.until(({ ready }) => ready > 0);
  await server.dispense();
  const faults = server.log.filter(({ level }) => level !== 'info' && level !== 'debug');
  assert.deepEqual(faults, []);
  const { mode, uid } = statSync(join(volumes, 'data', 'store'));
  assert.deepEqual([mode & 0o777, uid], [0o700, USER]);
  process.kill(forkedBy(server), 'SIGTERM');
  assert.equal(await server.exited, 0, server.output);
});

test('journals in memory of a pod outlive a kill of its container', LIMIT, async (t) => {
  if (MISSING !== undefined) return t.skip(MISSING);
  const shm = mkdtempSync('/dev/shm/vanitypool-test-');
  chmodSync(shm, 0o1777);
  t.after(() => rmSync(shm, { recursive: true }));
  await using workspace = new Workspace();
  inImage(workspace, 'kubernetes', shm);
  workspace.environment = { ...workspace.environment, VANITYPOOL_STORE__JOURNAL: 'memory' };
  const first = await workspace.serve();
  const [line] = first.log.filter(({ msg }) => msg === 'journals');
  assert.equal(line!.place, 'memory');
  await first.until(({ ready }) => ready >= 256);
  await first.dispense(5);
  await killWhole(first);
  const second = await workspace.serve();
  const { burned, dispensed } = await second.pool();
  assert.deepEqual([burned, dispensed], [0, 5]);
});

test('the health check asks a server with TLS, at any address', LIMIT, async () => {
  await using workspace = new Workspace();
  const { cert, key } = makeCertificate('one');
  writeFileSync(join(workspace.path, 'cert.pem'), cert);
  writeFileSync(join(workspace.path, 'key.pem'), key, { mode: 0o600 });
  const tls = ['[http]', 'host = "0.0.0.0"', 'tls_cert = "cert.pem"', 'tls_key = "key.pem"'];
  workspace.configure([EASY_POOL], ...tls);
  await workspace.serve();
  const env = { VANITYPOOL_STORE__URL: `file:${workspace.data}` };
  const { code, stderr } = await vanitypool([CHECK], { program: process.execPath, env });
  assert.deepEqual([code, stderr], [0, '']);
});
