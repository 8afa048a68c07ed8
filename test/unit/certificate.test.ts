import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect, createServer, getCiphers } from 'node:tls';
import type { TlsFiles } from '../../src/config/config.ts';
import {
  type CertificateAndKey,
  readCertificate,
  tlsOptions,
  WatchedCertificate,
} from '../../src/http/certificate.ts';
import { type Made, makeCertificate } from '../support/certificates.ts';
import { keptLog } from '../support/grinding.ts';

const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(root, { recursive: true }));

function write(files: TlsFiles, { cert, key }: Made): void {
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
}

function filesOf(made: Made): TlsFiles {
  const directory = mkdtempSync(join(root, 'pair-'));
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') };
  write(files, made);
  return files;
}

/** With what it sent to its log and its listener. */
function watched(t: TestContext, files: TlsFiles) {
  const { log, lines } = keptLog();
  const changes: CertificateAndKey[] = [];
  const certificate = new WatchedCertificate(files, log, (pair) => changes.push(pair));
  t.after(() => certificate[Symbol.dispose]());
  return { certificate, changes, lines };
}

test('a pair that fits is read as it is', () => {
  const made = makeCertificate('one');
  assert.equal(new X509Certificate(made.cert).subject, 'CN=one');
  assert.deepEqual(readCertificate(filesOf(made)), made);
  assert.equal(tlsOptions(made).minVersion, 'TLSv1.2');
});

test('what cannot be used is named with its file, and no key is in the words', () => {
  const made = makeCertificate('one');
  const other = makeCertificate('other');
  const key = createPrivateKey(made.key);
  const locked = key.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'secret',
  });
  const refused = (change: (files: TlsFiles) => void, which: 'cert' | 'key', what: RegExp) => {
    const files = filesOf(made);
    change(files);
    assert.throws(
      () => readCertificate(files),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'CERTIFICATE_INVALID');
        assert.ok(error.message.startsWith(`http.tls_${which}: ${files[which]}: `), error.message);
        assert.match(error.message, what);
        assert.equal(error.cause, undefined);
        for (const line of `${made.key}${other.key}`.split('\n')) {
          assert.ok(line === '' || !error.message.includes(line));
        }
        return true;
      },
    );
  };
  refused(({ cert }) => rmSync(cert), 'cert', /there is no such file/);
  refused(({ key }) => rmSync(key), 'key', /there is no such file/);
  const toDirectory = ({ key }: TlsFiles) => {
    rmSync(key);
    symlinkSync('.', key);
  };
  refused(toDirectory, 'key', /a directory; allowed: a regular file/);
  refused(({ cert }) => writeFileSync(cert, made.key), 'cert', /holds no certificate in PEM/);
  refused(({ key }) => writeFileSync(key, made.cert), 'key', /no private key in PEM/);
  refused(({ key }) => writeFileSync(key, locked), 'key', /without a passphrase/);
  refused(({ key }) => writeFileSync(key, other.key), 'key', /not the key of the certificate in/);
  const broken = `${made.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
  refused(({ cert }) => writeFileSync(cert, broken), 'cert', /cannot be used/);
});

test('a new pair is taken when both files are written, and logged once', (t) => {
  const files = filesOf(makeCertificate('one'));
  const { certificate, changes, lines } = watched(t, files);
  certificate.look();
  const two = makeCertificate('two');
  writeFileSync(files.cert, two.cert);
  certificate.look();
  writeFileSync(files.key, two.key);
  certificate.look();
  assert.deepEqual(changes, [], 'it moved since the last look');
  certificate.look();
  certificate.look();
  assert.deepEqual(changes, [two]);
  assert.deepEqual(certificate.current, two);
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['a new certificate is served'],
  );
});

test('a pair behind symbolic links is new when they lead elsewhere', (t) => {
  const [one, two] = [makeCertificate('one'), makeCertificate('two')];
  const [old, fresh] = [filesOf(one), filesOf(two)];
  const directory = mkdtempSync(join(root, 'links-'));
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') };
  for (const which of ['cert', 'key'] as const) symlinkSync(old[which], files[which]);
  const { certificate, changes } = watched(t, files);
  for (const which of ['cert', 'key'] as const) {
    symlinkSync(fresh[which], `${files[which]}.new`);
    renameSync(`${files[which]}.new`, files[which]);
  }
  certificate.look();
  certificate.look();
  assert.deepEqual(changes, [two]);
});

test('a broken pair is refused in one line and the old one stays, until it is right', (t) => {
  const one = makeCertificate('one');
  const files = filesOf(one);
  const { certificate, changes, lines } = watched(t, files);
  const two = makeCertificate('two');
  writeFileSync(files.cert, two.cert);
  for (let looks = 0; looks < 5; looks++) certificate.look();
  assert.deepEqual(certificate.current, one);
  assert.deepEqual(
    lines.map(({ level, msg }) => [level, msg]),
    [['error', 'the new certificate is refused; the old one stays']],
  );
  assert.match(String(lines[0]!.reason), /is not the key of the certificate/);
  rmSync(files.key);
  for (let looks = 0; looks < 3; looks++) certificate.look();
  assert.match(String(lines[1]!.reason), /there is no such file/);
  writeFileSync(files.key, two.key);
  for (let looks = 0; looks < 3; looks++) certificate.look();
  assert.deepEqual(changes, [two]);
});

test('one that is out of its time is served with a warning, at the start and when it is new', (t) => {
  const old = makeCertificate('old', { validTo: new Date(Date.now() - 1000) });
  const files = filesOf(old);
  const { certificate, changes, lines } = watched(t, files);
  assert.deepEqual(certificate.current, old);
  const early = makeCertificate('early', { validTo: new Date(Date.now() + 7301 * 86_400_000) });
  write(files, early);
  certificate.look();
  certificate.look();
  assert.deepEqual(changes, [early]);
  const warned = lines.filter(({ level }) => level === 'warn');
  assert.equal(warned.length, 2);
  assert.equal(
    warned[0]!.validTo,
    new Date(new X509Certificate(old.cert).validToDate).toISOString(),
  );
});

/** A server of TLS alone with this pair; whether it agrees with a client on what that offers. */
async function agreeing(t: TestContext, pair: CertificateAndKey) {
  const server = createServer(tlsOptions(pair), (socket) => socket.end());
  server.on('tlsClientError', () => undefined).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return (offer: ConnectionOptions): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...offer });
      socket.on('secureConnect', () => {
        resolve(true);
        socket.destroy();
      });
      socket.on('error', () => resolve(false));
    });
}

test('the suites of version 1.2 and 1.3 are those of the profile, and no others', async (t) => {
  const accepted = new Set<string>();
  for (const isRsa of [false, true]) {
    const agrees = await agreeing(t, makeCertificate('one', { isRsa }));
    for (const name of getCiphers()) {
      const isNew = name.startsWith('tls_');
      const version = isNew ? 'TLSv1.3' : 'TLSv1.2';
      const ciphers = `${name.toUpperCase()}${isNew ? '' : ':@SECLEVEL=0'}`;
      const offer = { ciphers, minVersion: version, maxVersion: version } as const;
      if (await agrees(offer)) accepted.add(name);
    }
  }
  assert.deepEqual(
    [...accepted].sort(),
    [
      ...['tls_aes_128_gcm_sha256', 'tls_aes_256_gcm_sha384', 'tls_chacha20_poly1305_sha256'],
      ...['ecdhe-ecdsa-aes128-gcm-sha256', 'ecdhe-ecdsa-aes256-gcm-sha384'],
      ...['ecdhe-rsa-aes128-gcm-sha256', 'ecdhe-rsa-aes256-gcm-sha384'],
      ...['ecdhe-ecdsa-chacha20-poly1305', 'ecdhe-rsa-chacha20-poly1305'],
    ].sort(),
  );
});

test('keys are exchanged by the curves of the profile, one that outlasts quantum computers among them', async (t) => {
  const agrees = await agreeing(t, makeCertificate('one'));
  for (const [ecdhCurve, expected] of [
    ['X25519MLKEM768', true],
    ['X25519', true],
    ['prime256v1', true],
    ['secp384r1', true],
    ['secp521r1', false],
    ['X448', false],
    ['ffdhe2048', false],
  ] as const) {
    assert.equal(await agrees({ ecdhCurve, minVersion: 'TLSv1.3' }), expected, ecdhCurve);
  }
  assert.match(tlsOptions(makeCertificate('one')).ecdhCurve!, /^X25519MLKEM768:X25519:/);
  for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const) {
    const old = { minVersion: 'TLSv1', maxVersion, ciphers: 'ALL:@SECLEVEL=0' } as const;
    assert.equal(await agrees(old), false, maxVersion);
  }
});
