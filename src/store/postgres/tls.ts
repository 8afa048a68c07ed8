/**
 * TLS to the server, as libpq means its modes: pg's own differ, and are to change. Files are read anew for
 * each connection, so that they can be replaced. Any thread may use it.
 */
import type { ConnectionOptions } from 'node:tls';
import { readRegular, TEXT_BYTES_MAX } from '../../disk/regular-files.ts';
import { VanityError } from '../../errors.ts';
import type { TlsSettings } from './settings.ts';

/**
 * False for none. `prefer` goes without if the server has no TLS: like `require`, it hides from who only
 * listens, and proves nothing of the server. Error: CERTIFICATE_INVALID.
 */
export function tlsOptions(tls: TlsSettings, host: string): ConnectionOptions | false {
  if (tls.mode === 'disable' || host.startsWith('/')) return false;
  return { ...own(tls), ...judgement(tls) };
}

function judgement({ mode, rootCertificate }: TlsSettings): ConnectionOptions {
  // libpq judges by a file that is given in the last of these modes, too.
  const isJudged =
    mode.startsWith('verify') || (mode === 'require' && rootCertificate !== undefined);
  if (!isJudged) return { rejectUnauthorized: false };
  const isNamed = mode === 'verify-full';
  return {
    rejectUnauthorized: true,
    ...(rootCertificate !== 'system' && { ca: read('sslrootcert', rootCertificate!) }),
    ...(!isNamed && { checkServerIdentity: () => undefined }),
  };
}

/** By which the server knows us. */
function own({ certificate, key }: TlsSettings): ConnectionOptions {
  if (certificate === undefined || key === undefined) return {};
  return { cert: read('sslcert', certificate), key: read('sslkey', key) };
}

function read(setting: string, path: string): Buffer {
  try {
    return readRegular(path, TEXT_BYTES_MAX);
  } catch (cause) {
    const detail = `${setting}: ${path}: cannot be read: ${(cause as Error).message}`;
    throw new VanityError('CERTIFICATE_INVALID', detail, { cause });
  }
}
