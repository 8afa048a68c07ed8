/**
 * Dockerfile, compose.yaml, the Kubernetes manifests and the systemd unit of ops/ are checked against the
 * program and each other: what cannot be run here is read. test/e2e/image.test.ts runs the image's files.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Config, loadConfig } from '../../src/config/config.ts';
import { loadSealingKey } from '../../src/keypair/sealing-key.ts';
import { SLOT_BYTES } from '../../src/pool/journal-layout.ts';
import { slotsFor } from '../../src/pool/journal-parts.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import { testApp } from '../support/http-app.ts';
import { copiesOf, dockerfileStages, isSent, textsOf, variablesOf } from '../support/image.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
/** The reader of YAML that @fastify/swagger brings. */
const yaml = createRequire(import.meta.resolve('@fastify/swagger'))('yaml') as {
  parseAllDocuments(
    text: string,
    options?: { readonly merge: boolean },
  ): { toJS(): unknown; readonly errors: readonly Error[] }[];
};
// biome-ignore lint/suspicious/noExplicitAny: each test knows what it reads.
type Tree = any;

function documentsOf(path: string): Tree[] {
  return yaml.parseAllDocuments(read(path), { merge: true }).map((document) => {
    assert.deepEqual(document.errors, [], path);
    return document.toJS();
  });
}

const STAGES = dockerfileStages();
const IMAGE = STAGES.at(-1)!;
const [COMPOSE] = documentsOf('ops/compose.yaml');
const SERVICE = COMPOSE.services.vanitypool;
const KUBERNETES = 'ops/kubernetes';
const IN_MEMORY = 'ops/kubernetes-journals-in-memory';
const IN_CLUSTER = 'ops/kubernetes-cluster';
const MANIFESTS = readdirSync(join(ROOT, KUBERNETES), { withFileTypes: true })
  .filter((entry) => entry.isFile())
  .flatMap(({ name }) => documentsOf(`${KUBERNETES}/${name}`));
const ofKind = (kind: string): Tree[] => MANIFESTS.filter((one) => one.kind === kind);
const [STATEFUL] = ofKind('StatefulSet');
const POD = STATEFUL.spec.template.spec;
const [CONTAINER] = POD.containers;
const UNIT = new Map(
  [...read('ops/vanitypool.service').matchAll(/^(\w+)=(.*)$/gm)].map(([, key, value]) => [
    key!,
    value!,
  ]),
);
const DEFAULTS = loadConfig({ cwd: '/' });
const KIB = 1024;
const UNITS: Readonly<Record<string, number>> = {
  Mi: KIB ** 2,
  Gi: KIB ** 3,
  m: KIB ** 2,
  g: KIB ** 3,
};
/** Of docs/operations.md: the table of the grinder is an eighth of what is available at most. */
const TABLE_BYTES = 8 * 288 * KIB ** 2;
const SERVER_BYTES = 145e6;
/** That a stop takes beyond its requests, while a disk fails. */
const BEYOND_DRAIN_SECONDS = 30;

function bytesOf(text: string): number {
  const [, figure, unit] = /^(\d+)(Mi|Gi|m|g)$/.exec(text)!;
  return Number(figure) * UNITS[unit!]!;
}

/** Of the ConfigMap, with the variables of the container. */
function configOfPod(): Config {
  const [{ data }] = ofKind('ConfigMap');
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  try {
    const file = join(directory, 'vanitypool.toml');
    writeFileSync(file, data['vanitypool.toml']);
    return loadConfig({ cwd: '/', file, env: variablesOf(IMAGE) });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The sum over all pools of what `docs/containers.md` says of journals. */
function journalBytes({ pools, http }: Config, quarter = 1.25): number {
  const each = pools.map(({ readyMax }) =>
    Math.max(slotsFor(0) * SLOT_BYTES, quarter * SLOT_BYTES * readyMax),
  );
  return (http.threads + 1) * each.reduce((sum, bytes) => sum + bytes, 0);
}

test('the image has the Node.js of package.json, no root, and process 1 is the program', () => {
  const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
  const major = /^>=(\d+)$/.exec(engines.node)![1];
  for (const stage of STAGES) {
    assert.match(textsOf(stage, 'FROM')[0]!, new RegExp(`^node:${major}-bookworm(-slim)?( AS |$)`));
  }
  assert.match(textsOf(IMAGE, 'FROM')[0]!, /-slim$/);
  assert.match(textsOf(IMAGE, 'USER').at(-1)!, /^[1-9]\d*:[1-9]\d*$/);
  assert.deepEqual(JSON.parse(textsOf(IMAGE, 'ENTRYPOINT')[0]!), [
    '/opt/vanitypool/bin/vanitypool',
  ]);
  assert.deepEqual(JSON.parse(textsOf(IMAGE, 'CMD')[0]!), ['serve']);
  assert.deepEqual(textsOf(IMAGE, 'EXPOSE'), [String(DEFAULTS.http.port)]);
});

test('only what the image takes is sent to its build, and all of that', () => {
  for (const stage of STAGES) {
    for (const { from, sources } of copiesOf(stage)) {
      for (const source of from === undefined ? sources : []) {
        assert.ok(existsSync(join(ROOT, source)), source);
        assert.ok(isSent(source), `${source} is kept out by .dockerignore`);
      }
    }
  }
  for (const path of ['data', 'vanitypool.toml', 'sealing.key', '.git', 'node_modules', 'build']) {
    assert.equal(isSent(path), false, path);
  }
});

test('packages are installed without those of development, their scripts and a cache', () => {
  const [install] = textsOf(STAGES[0]!, 'RUN').filter((text) => text.startsWith('npm ci'));
  assert.match(install!, /--omit=dev .*--ignore-scripts .*&& npm cache clean --force$/);
});

test('the store is on a volume, its witness on another, and both are the user’s', () => {
  const { VANITYPOOL_STORE__URL: store, XDG_STATE_HOME: state } = variablesOf(IMAGE);
  const volumes = JSON.parse(textsOf(IMAGE, 'VOLUME')[0]!) as string[];
  assert.deepEqual(volumes, ['/data', '/state']);
  assert.match(store!, /^file:\/data\/\w+$/);
  assert.equal(state, '/state');
  const [uid, gid] = textsOf(IMAGE, 'USER')[0]!.split(':');
  const [made] = textsOf(IMAGE, 'RUN');
  assert.ok(made!.includes(`install -d -o ${uid} -g ${gid} -m 0700 /data /state`));
  assert.deepEqual(SERVICE.volumes, ['data:/data', 'state:/state']);
  assert.deepEqual(Object.keys(COMPOSE.volumes), ['data', 'state']);
  const claims = STATEFUL.spec.volumeClaimTemplates.map(({ metadata }: Tree) => metadata.name);
  const mounts = CONTAINER.volumeMounts.map(({ name, mountPath }: Tree) => `${name}:${mountPath}`);
  assert.deepEqual(claims, ['data', 'state']);
  for (const volume of SERVICE.volumes) assert.ok(mounts.includes(volume), volume);
  for (const { spec } of STATEFUL.spec.volumeClaimTemplates) {
    assert.deepEqual(spec.accessModes, ['ReadWriteOncePod']);
  }
  assert.equal(STATEFUL.spec.replicas, 1);
});

test('a stop has more time than requests in flight and a failing disk take', () => {
  const drain = Math.max(DEFAULTS.http.drainSeconds, configOfPod().http.drainSeconds);
  const least = drain + BEYOND_DRAIN_SECONDS;
  assert.ok(Number.parseInt(SERVICE.stop_grace_period, 10) >= least);
  assert.match(SERVICE.stop_grace_period, /^\d+s$/);
  assert.ok(POD.terminationGracePeriodSeconds >= least);
  assert.ok(Number(UNIT.get('TimeoutStopSec')) >= least);
});

test('probes ask for paths that are there, at the port that is served', async () => {
  const { app } = await testApp();
  const config = configOfPod();
  const ports = CONTAINER.ports.map(({ name, containerPort }: Tree) => [name, containerPort]);
  assert.deepEqual(ports, [['https', config.http.port]]);
  const paths = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((name) => {
    const { path, port, scheme } = CONTAINER[name].httpGet;
    assert.deepEqual([port, scheme], ['https', config.http.tls ? 'HTTPS' : 'HTTP']);
    assert.ok(app.hasRoute({ method: 'GET', url: path }), path);
    return path;
  });
  assert.deepEqual(paths, ['/healthz', '/healthz', '/readyz']);
  const [, asked] = /path: '([^']+)'/.exec(read('ops/healthcheck.mjs'))!;
  assert.equal(asked, '/healthz');
  for (const { spec } of ofKind('Service')) {
    assert.deepEqual(spec.ports, [{ name: 'https', port: config.http.port, targetPort: 'https' }]);
    assert.deepEqual(spec.selector, STATEFUL.spec.selector.matchLabels);
  }
  assert.ok(ofKind('Service').some(({ metadata }) => metadata.name === STATEFUL.spec.serviceName));
  assert.deepEqual(SERVICE.ports, [`127.0.0.1:${DEFAULTS.http.port}:${DEFAULTS.http.port}`]);
  const [, command] = /CMD (\[.*\])$/.exec(textsOf(IMAGE, 'HEALTHCHECK')[0]!)!;
  assert.deepEqual(SERVICE.healthcheck.test, ['CMD', ...JSON.parse(command!)]);
});

test('the settings of compose.yaml are those of the program', () => {
  const env = { ...variablesOf(IMAGE), ...SERVICE.environment };
  const { http, store } = loadConfig({ cwd: '/', env });
  assert.deepEqual([http.host, http.insecure, store.directory], ['0.0.0.0', true, '/data/store']);
  assert.equal(SERVICE.user, textsOf(IMAGE, 'USER')[0]);
  assert.deepEqual(
    [SERVICE.read_only, SERVICE.cap_drop, SERVICE.security_opt],
    [true, ['ALL'], ['no-new-privileges:true']],
  );
  assert.equal(SERVICE.memswap_limit, SERVICE.mem_limit);
  assert.ok(SERVICE.ulimits.nofile > DEFAULTS.http.maxConnections + 1000);
  assert.ok(bytesOf(SERVICE.mem_limit) >= TABLE_BYTES + SERVER_BYTES);
});

test('a pod may do nothing beyond its volumes, and gets its key from a secret', () => {
  const [uid, gid] = textsOf(IMAGE, 'USER')[0]!.split(':').map(Number);
  const { runAsNonRoot, runAsUser, runAsGroup, fsGroup, ...rest } = POD.securityContext;
  assert.deepEqual([runAsNonRoot, runAsUser, runAsGroup, fsGroup], [true, uid, gid, gid]);
  assert.deepEqual(rest, {
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  });
  assert.deepEqual(CONTAINER.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  assert.equal(POD.automountServiceAccountToken, false);
  const { store, http } = configOfPod();
  const [key] = CONTAINER.env;
  assert.equal(store.sealingKey, `env:${key.name}`);
  assert.ok(key.valueFrom.secretKeyRef.name);
  const tls = CONTAINER.volumeMounts.find(({ name }: Tree) => name === 'tls').mountPath;
  assert.deepEqual(http.tls, { cert: `${tls}/tls.crt`, key: `${tls}/tls.key` });
});

test('a pod’s memory has room for the table, the queues and journals in memory', () => {
  const config = configOfPod();
  const [patch] = documentsOf(`${IN_MEMORY}/kustomization.yaml`);
  const { spec } = yaml.parseAllDocuments(patch.patches[0].patch)[0]!.toJS() as Tree;
  const pod = spec.template.spec;
  const [container] = pod.containers;
  assert.equal(container.name, CONTAINER.name);
  assert.deepEqual(container.volumeMounts, [{ name: 'journals', mountPath: '/dev/shm' }]);
  const env = Object.fromEntries(container.env.map(({ name, value }: Tree) => [name, value]));
  assert.equal(loadConfig({ cwd: '/', env }).store.journal, 'memory');
  const { name, emptyDir } = pod.volumes[0];
  assert.deepEqual([name, emptyDir.medium], ['journals', 'Memory']);
  const room = bytesOf(emptyDir.sizeLimit);
  const needed = journalBytes(config);
  assert.ok(room >= needed && room < 2 * needed, `${room} for ${needed}`);
  const queues = config.pools.reduce((sum, { readyMax }) => sum + 152 * readyMax, 0);
  const limit = bytesOf(CONTAINER.resources.limits.memory);
  assert.ok(limit >= TABLE_BYTES + SERVER_BYTES + queues + room);
});

test('the sizes of /dev/shm in docs/containers.md follow from its formula', () => {
  const rows = [
    ...read('docs/containers.md').matchAll(/^\| (\d+) \| (\d+) \| ([\d.]+) MB \| (\d+) MB \|$/gm),
  ];
  assert.equal(rows.length, 4);
  for (const [, pools, threads, atStart, atMost] of rows) {
    const { pools: ours, http, ...rest } = DEFAULTS;
    const config = {
      ...rest,
      pools: Array.from({ length: Number(pools) }, () => ours[0]!),
      http: { ...http, threads: Number(threads) },
    };
    const journals = Number(pools) * (Number(threads) + 1);
    assert.equal((Math.ceil((journals * 108 * KIB) / 1e5) / 10).toFixed(1), atStart);
    assert.equal(Math.ceil(journalBytes(config) / 1e6), Number(atMost));
  }
  assert.equal(slotsFor(0) * SLOT_BYTES, 108 * KIB);
});

const [CLUSTER] = documentsOf('ops/compose-cluster.yaml');
const NODES = Object.entries<Tree>(CLUSTER.services).filter(([name]) => name.startsWith('node'));

test('each node of the cluster has a directory of its own, and all one database and one key', () => {
  assert.equal(NODES.length, 3);
  const alike = ['user', 'read_only', 'cap_drop', 'security_opt', 'healthcheck', 'ulimits'];
  for (const [index, [name, node]] of NODES.entries()) {
    for (const key of [...alike, 'stop_grace_period', 'mem_limit', 'memswap_limit', 'build']) {
      assert.deepEqual(node[key], SERVICE[key], `${name}: ${key}`);
    }
    assert.deepEqual(node.volumes, [`${name}:/data`, 'keys:/state']);
    assert.deepEqual(node.ports, [`127.0.0.1:${DEFAULTS.http.port + index}:${DEFAULTS.http.port}`]);
    const { http, store } = loadConfig({
      cwd: '/',
      env: { ...variablesOf(IMAGE), ...node.environment },
    });
    assert.deepEqual([http.host, http.insecure], ['0.0.0.0', true]);
    assert.deepEqual([store.directory, store.data], [undefined, '/data/node']);
    assert.equal(store.sealingKey, 'file:/state/sealing.key');
    const { host, user, database } = connectionSettings(store.database!, {});
    const { POSTGRES_USER, POSTGRES_DB } = CLUSTER.services.postgres.environment;
    assert.deepEqual([host, user, database], ['postgres', POSTGRES_USER, POSTGRES_DB]);
    assert.equal(node.environment.PGPASSFILE, '/state/pgpass');
    assert.deepEqual(Object.keys(node.depends_on), ['keys', 'postgres']);
  }
  assert.deepEqual(Object.keys(CLUSTER.volumes).toSorted(), [
    ...['database', 'keys', 'node1', 'node2', 'node3'],
  ]);
});

test('the keys of the cluster are made once, as the program reads them', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  try {
    const { entrypoint, command } = CLUSTER.services.keys;
    const script = command[0].replaceAll('/state', directory).replaceAll('$$', '$');
    const run = () => {
      const { status, stderr } = spawnSync(entrypoint[0], [...entrypoint.slice(1), script]);
      assert.equal(status, 0, String(stderr));
      return readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8'));
    };
    assert.deepEqual(run(), run());
    assert.ok(await loadSealingKey(`file:${join(directory, 'sealing.key')}`));
    const [, node] = NODES[0]!;
    const env = { PGPASSFILE: join(directory, 'pgpass') };
    const { password } = connectionSettings(node.environment.VANITYPOOL_STORE__URL, env);
    assert.equal(password(), readFileSync(join(directory, 'password'), 'utf8'));
    assert.match(password(), /^[0-9a-f]{64}$/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('the pods of the cluster have one database, and each its own volume', () => {
  const [patch] = documentsOf(`${IN_CLUSTER}/kustomization.yaml`);
  const { spec } = yaml.parseAllDocuments(patch.patches[0].patch)[0]!.toJS() as Tree;
  assert.ok(spec.replicas > 1);
  const { topologySpreadConstraints, containers } = spec.template.spec;
  const { matchLabels } = STATEFUL.spec.selector;
  assert.deepEqual(topologySpreadConstraints[0].labelSelector, { matchLabels });
  const [container] = containers;
  assert.equal(container.name, CONTAINER.name);
  const env = Object.fromEntries(container.env.map(({ name, value }: Tree) => [name, value]));
  const { store } = loadConfig({ cwd: '/', env });
  assert.equal(store.directory, undefined);
  assert.ok(store.data.startsWith('/data/'));
  assert.equal(connectionSettings(store.database!, {}).tls.mode, 'require');
  assert.ok('PGPASSWORD' in env);
});

test('kubectl reads the manifests', (t) => {
  for (const directory of [KUBERNETES, IN_MEMORY, IN_CLUSTER]) {
    const { error, status, stdout, stderr } = spawnSync('kubectl', ['kustomize', directory], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    if (error !== undefined) return t.skip('kubectl is not here');
    assert.equal(status, 0, stderr);
    const made = yaml.parseAllDocuments(stdout).map((document) => document.toJS() as Tree);
    assert.deepEqual(made.map(({ kind }) => kind).toSorted(), [
      'ConfigMap',
      'Service',
      'Service',
      'StatefulSet',
    ]);
    const pod = made.find(({ kind }) => kind === 'StatefulSet').spec.template.spec;
    const isInMemory = pod.volumes.some(({ name }: Tree) => name === 'journals');
    assert.equal(isInMemory, directory === IN_MEMORY);
    assert.ok(pod.containers[0].env.some(({ name }: Tree) => name === 'VANITYPOOL_SEALING_KEY'));
  }
});

test('the unit starts the program where it can work, and restarts no wrong configuration', () => {
  assert.equal(UNIT.get('ExecStart'), '/opt/vanitypool/bin/vanitypool serve');
  assert.ok(existsSync(join(ROOT, 'bin/vanitypool')));
  assert.equal(UNIT.get('RestartPreventExitStatus'), '2');
  assert.ok(Number(UNIT.get('LimitNOFILE')) > DEFAULTS.http.maxConnections + 1000);
  // V8 compiles; journals in /dev/shm outlive the process, and the boot id is in /proc/sys.
  for (const key of ['MemoryDenyWriteExecute', 'DynamicUser', 'PrivateIPC', 'ProcSubset']) {
    assert.equal(UNIT.has(key), false, key);
  }
  assert.deepEqual(
    ['NoNewPrivileges', 'ProtectSystem', 'CapabilityBoundingSet'].map((key) => UNIT.get(key)),
    ['yes', 'strict', ''],
  );
});

test('systemd accepts the unit', (t) => {
  // A program that is there: the one of the unit need not be.
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  try {
    const unit = join(directory, 'vanitypool.service');
    const text = read('ops/vanitypool.service')
      .replaceAll('/opt/vanitypool/bin/vanitypool', join(ROOT, 'bin/vanitypool'))
      .replaceAll('file:/opt/vanitypool', `file:${ROOT}`);
    writeFileSync(unit, text);
    const { error, status, stderr } = spawnSync('systemd-analyze', ['verify', unit], {
      encoding: 'utf8',
    });
    if (error !== undefined) return t.skip('systemd-analyze is not here');
    const ours = stderr.split('\n').filter((line) => line.includes('vanitypool.service'));
    assert.deepEqual([status, ours], [0, []], stderr);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
