import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { TlsFiles } from '../../src/config.ts';
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

/** With what it told its log and its listener. */
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
  refused(toDirectory, 'key', /EISDIR/);
  refused(({ cert }) => writeFileSync(cert, made.key), 'cert', /holds no certificate in PEM/);
  refused(({ key }) => writeFileSync(key, made.cert), 'key', /no private key in PEM/);
  refused(({ key }) => writeFileSync(key, locked), 'key', /without a passphrase/);
  refused(({ key }) => writeFileSync(key, other.key), 'key', /not the key of the certificate in/);
  const broken = `${made.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
  refused(({ cert }) => writeFileSync(cert, broken), 'cert', /cannot be used/);
});

test('a new pair is taken when both files are written, and told once', (t) => {
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
