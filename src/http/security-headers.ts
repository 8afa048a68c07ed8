/**
 * Headers of every reply, which make it harmless in a browser that gets one by mistake or by malice:
 * the browser does not guess another type, shows it in no frame, runs nothing of it and sends no
 * referrer. A page may have a policy of its own instead, as that of the API's
 * document has. Runs in the HTTP threads.
 *
 * They go behind the first line of a reply, as one text that is made once: whether Fastify,
 * a stream or Node.js itself writes the reply, none is sent without them. Set like others, in a
 * hook, they took 10 %
 * of what a dispense takes of the processor, and this 1 % (of 25 us; medians of 16 rounds, in turns);
 * @fastify/helmet sets twelve. `_storeHeader` is no public name of Node.js: the test of this file
 * looks at what comes over a connection.
 */
import type { ServerResponse } from 'node:http';
import { http } from '../system/http-module.ts';

const YEAR_S = 31_536_000;
const POLICY = 'content-security-policy';

const PLAIN = { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };
const NEVER = "default-src 'none'; frame-ancestors 'none'";

/** Of the reader of the API's document: its own files, and requests to its own server. */
export const PAGE_POLICY =
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "connect-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'";

/** Of the dashboard: the same without a style in its markup, and no text ever becomes markup or code. */
export const DASHBOARD_POLICY =
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "connect-src 'self'; img-src 'self'; script-src 'self'; style-src 'self'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

/** Lines of a reply. `isEncrypted`: with TLS; then browsers must always use it. */
export function securityLines(isEncrypted: boolean, hasPolicy = false): string {
  const hsts = { 'strict-transport-security': `max-age=${YEAR_S}` };
  const headers = { ...PLAIN, ...(!hasPolicy && { [POLICY]: NEVER }), ...(isEncrypted && hsts) };
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}

interface Storing {
  _storeHeader(firstLine: string, headers: Readonly<Record<string, unknown>> | undefined): void;
}

/** What a server makes its replies of; for `http.createServer`. */
export function safeResponse(isEncrypted: boolean): typeof ServerResponse {
  const lines = securityLines(isEncrypted);
  const linesOfPage = securityLines(isEncrypted, true);
  const { _storeHeader: store } = http.ServerResponse.prototype as unknown as Storing;
  class SafeResponse extends http.ServerResponse {
    _storeHeader(firstLine: string, headers: Readonly<Record<string, unknown>> | undefined): void {
      const more = headers?.[POLICY] === undefined ? lines : linesOfPage;
      store.call(this, firstLine + more, headers);
    }
  }
  return SafeResponse as typeof ServerResponse;
}
