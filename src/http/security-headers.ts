/**
 * Headers that every reply carries, so that a browser that gets one by mistake or by malice makes
 * nothing of it: it takes no other type than is said, shows it in no frame, runs nothing of it and
 * tells nobody where it was. Pure data. The reader of the API's document is the one page, and has a
 * policy of its own: its own files, and requests to its own server.
 *
 * By hand: @fastify/helmet sets twelve headers, most of them for pages.
 */

const YEAR_S = 31_536_000;

const ALWAYS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
} as const;

/** `isEncrypted`: with TLS; then a browser is told never to come without. */
export function securityHeaders(isEncrypted: boolean): Readonly<Record<string, string>> {
  const hsts = { 'strict-transport-security': `max-age=${YEAR_S}` };
  return isEncrypted ? { ...ALWAYS, ...hsts } : ALWAYS;
}

export const PAGE_POLICY =
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "connect-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'";
