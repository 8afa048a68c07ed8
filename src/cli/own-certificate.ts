/**
 * The certificate of our own server, by which the command line of the same machine identifies it:
 * exactly this certificate, whatever its issuer, names and dates. Main thread.
 *
 * A connection is given to a request only when the server has proved that it has the key of this very
 * certificate: before that no byte of the request leaves, and no token. OpenSSL would refuse one out of its
 * time, even if it is in the list of trusted ones. So OpenSSL accepts any, and the certificate that was
 * shown is compared here, byte by byte.
 */
import { X509Certificate } from 'node:crypto';
import { addAbortSignal } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { readRegular, TEXT_BYTES_MAX } from '../disk/regular-files.ts';
import { VanityError } from '../errors.ts';

/** Of an error: what was shown is another certificate. */
export const NOT_OWN = 'CERT_NOT_OWN';

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  readonly signal: AbortSignal;
}

export class OwnCertificate {
  readonly file: string;
  readonly #certificate: X509Certificate;

  /** The first one of a file in PEM. Error: CERTIFICATE_INVALID. */
  constructor(file: string) {
    this.file = file;
    try {
      this.#certificate = new X509Certificate(readRegular(file, TEXT_BYTES_MAX));
    } catch (cause) {
      const reason = (cause as NodeJS.ErrnoException).message;
      const detail = `http.tls_cert: ${file}: cannot be read: ${reason}; give --url`;
      throw new VanityError('CERTIFICATE_INVALID', detail, { cause });
    }
  }

  /** What is to be said of its dates, or undefined. */
  get warning(): string | undefined {
    const { validFromDate, validToDate } = this.#certificate;
    const now = Date.now();
    const isEarly = now < validFromDate.getTime();
    if (!isEarly && now <= validToDate.getTime()) return undefined;
    const date = isEarly ? validFromDate : validToDate;
    const what = `is valid ${isEarly ? 'only from' : 'no longer, since'} ${date.toISOString()}`;
    return `http.tls_cert: ${this.file}: ${what}: other clients refuse this server; renew it`;
  }

  /** Errors are the system's, OpenSSL's and those of `signal`; with the code NOT_OWN for another certificate. */
  connect({ host, port, signal }: ConnectOptions): Promise<TLSSocket> {
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    const socket = connect({ host, port, rejectUnauthorized: false });
    addAbortSignal(signal, socket);
    const onClose = () => reject(new Error('the connection was closed'));
    socket.once('error', reject).once('close', onClose);
    socket.once('secureConnect', () => {
      const shown = socket.getPeerX509Certificate()?.raw;
      if (shown === undefined || !this.#certificate.raw.equals(shown)) {
        const other = new Error('another certificate');
        socket.destroy(Object.assign(other, { code: NOT_OWN }));
        return;
      }
      socket.off('error', reject).off('close', onClose);
      resolve(socket);
    });
    return promise;
  }
}
