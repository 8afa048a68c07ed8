/**
 * Who may talk to a server without tokens: programs of this machine. A web page that the user
 * happens to have open, and a proxy that carries somebody else's request here, also come from a
 * loopback address; they are told by their headers. Runs in the HTTP threads, before anything else
 * of a request. Not protected: other users of the same machine.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { VanityError } from '../errors.ts';

const LOCAL_HOST = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;
const OWN_SITE = new Set(['none', 'same-origin']);
const PROXY_HEADER = /^(forwarded|via|x-forwarded-.*)$/;
/** A browser that fetches ahead of a click. */
const AHEAD = 'sec-purpose';

/** Errors: HOST_REFUSED, FOREIGN_REQUEST. */
export function assertLocal(headers: IncomingHttpHeaders): void {
  const { host, origin } = headers;
  if (host === undefined || !LOCAL_HOST.test(host)) {
    throw new VanityError(
      'HOST_REFUSED',
      'host: only localhost, 127.0.0.1 and [::1] are served without tokens',
    );
  }
  if (origin !== undefined && origin !== `http://${host}`) throw foreign('origin');
  // Browsers without Sec-Fetch-* headers tell the page here, if anywhere.
  const { referer } = headers;
  if (referer !== undefined && !referer.startsWith(`http://${host}/`)) throw foreign('referer');
  if (headers[AHEAD] !== undefined) throw foreign(AHEAD);
  const site = headers['sec-fetch-site'];
  if (typeof site === 'string' && !OWN_SITE.has(site)) throw foreign('sec-fetch-site');
  for (const name in headers) {
    if (PROXY_HEADER.test(name)) throw foreign(name);
  }
}

function foreign(header: string): VanityError {
  return new VanityError(
    'FOREIGN_REQUEST',
    `${header}: a request of a web page or through a proxy is not served without tokens`,
  );
}
