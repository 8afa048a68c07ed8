/**
 * The server's certificate and its private key, from two PEM files. The main thread reads them at the
 * start, where anything wrong with them is an error, and looks every other second whether a file
 * changed; HTTP threads get what was read and serve new connections with it, those that are open
 * keep what they began with.
 *
 * A new pair that cannot be used is logged once, and the old one stays. Files are written one
 * after the other, so that a change counts when nothing has moved from one look to the next.
 * The key is in no log line and no error.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { createSecureContext, type TlsOptions } from 'node:tls';
import type { TlsFiles } from '../config/config.ts';
import { readRegular, TEXT_BYTES_MAX } from '../disk/regular-files.ts';
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';

/** In PEM; the certificate with those above it, if the file has them. */
export interface CertificateAndKey {
  readonly cert: string;
  readonly key: string;
}

const LOOK_MS = 2000;
const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * Mozilla's profile "intermediate", without its exchange of keys by DHE: version 1.3 and 1.2, forward
 * secrecy and authenticated encryption alone. Which of them is up to the client.
 */
const CIPHERS = [
  ...['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
  ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
  ...['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
  ...['ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
].join(':');
const CURVES = 'X25519:prime256v1:secp384r1';
/** Against who records today and has a quantum computer later; OpenSSL has it from 3.5 on. */
const POST_QUANTUM = 'X25519MLKEM768';

export function tlsOptions({ cert, key }: CertificateAndKey): TlsOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ecdhCurve: canUse(POST_QUANTUM) ? `${POST_QUANTUM}:${CURVES}` : CURVES,
    honorCipherOrder: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  };
}

function canUse(ecdhCurve: string): boolean {
  try {
    createSecureContext({ ecdhCurve });
    return true;
  } catch {
    return false;
  }
}

/** Error: CERTIFICATE_INVALID, with the file. One that has expired can be used. */
export function readCertificate(files: TlsFiles): CertificateAndKey {
  const cert = readPem('tls_cert', files.cert);
  const key = readPem('tls_key', files.key);
  const certificate = parseCertificate(cert, files.cert);
  if (!certificate.checkPrivateKey(parseKey(key, files.key))) {
    throw invalid('tls_key', files.key, `is not the key of the certificate in ${files.cert}`);
  }
  try {
    createSecureContext(tlsOptions({ cert, key }));
  } catch (error) {
    throw invalid('tls_cert', files.cert, `cannot be used: ${(error as Error).message}`);
  }
  return { cert, key };
}

export class WatchedCertificate implements Disposable {
  current: CertificateAndKey;
  readonly #files: TlsFiles;
  readonly #log: Log;
  readonly #onChange: (pair: CertificateAndKey) => void;
  readonly #timer: NodeJS.Timeout;
  #seen: string;
  #taken: string;

  /** Error: CERTIFICATE_INVALID. */
  constructor(files: TlsFiles, log: Log, onChange: (pair: CertificateAndKey) => void) {
    this.#files = files;
    this.#log = log;
    this.#onChange = onChange;
    this.#seen = stateOf(files);
    this.#taken = this.#seen;
    this.current = readCertificate(files);
    this.#tellTime();
    this.#timer = setInterval(() => this.look(), LOOK_MS);
  }

  look(): void {
    const seen = stateOf(this.#files);
    const isWritten = seen === this.#seen;
    this.#seen = seen;
    if (!isWritten || seen === this.#taken) return;
    this.#taken = seen;
    try {
      this.current = readCertificate(this.#files);
    } catch (error) {
      const reason = error instanceof VanityError ? error.message : 'it cannot be read';
      this.#log.error({ reason }, 'the new certificate is refused; the old one stays');
      return;
    }
    this.#log.info({ file: this.#files.cert }, 'a new certificate is served');
    this.#tellTime();
    this.#onChange(this.current);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tellTime(): void {
    const { validFromDate, validToDate } = new X509Certificate(this.current.cert);
    const now = Date.now();
    if (now >= validFromDate.getTime() && now <= validToDate.getTime()) return;
    const [validFrom, validTo] = [validFromDate.toISOString(), validToDate.toISOString()];
    const fields = { file: this.#files.cert, validFrom, validTo };
    this.#log.warn(
      fields,
      'the certificate has expired or is not valid yet: clients will refuse it',
    );
  }
}

/** Which files the names lead to, and when they were written. */
function stateOf(files: TlsFiles): string {
  return [files.cert, files.key]
    .map((path) => {
      const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
      return stats === undefined ? 'none' : `${stats.ino} ${stats.mtimeNs} ${stats.size}`;
    })
    .join();
}

function readPem(name: string, path: string): string {
  try {
    return readRegular(path, TEXT_BYTES_MAX).toString('utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw invalid(name, path, code === 'ENOENT' ? 'there is no such file' : message);
  }
}

function parseCertificate(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw invalid('tls_cert', path, 'holds no certificate in PEM');
  }
}

function parseKey(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw invalid('tls_key', path, 'holds no private key in PEM without a passphrase');
  }
}

function invalid(name: string, path: string, what: string): VanityError {
  return new VanityError('CERTIFICATE_INVALID', `http.${name}: ${path}: ${what}`);
}
