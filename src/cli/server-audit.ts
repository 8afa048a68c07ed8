/**
 * The audit of a server elsewhere, page by page. It serves meanwhile, so that the list is never
 * complete: what a restore takes is made where the store is, when nothing serves it.
 */
import type { AddressView, AuditPageView } from '../api/audit.ts';
import type { AuditSource } from './audit-source.ts';
import { ServerClient } from './server-client.ts';

/** The most that it looks at for one request. */
const PAGE = 1000;
/** Of most names. */
const POOL_WIDTH = 8;

export function serverAudit(url: string): AuditSource {
  const server = new ServerClient(url);
  return {
    gap: `${url} serves the store; what leaves meanwhile may be missing`,
    poolWidth: POOL_WIDTH,
    store: undefined,
    tokens: [],
    async *pages({ pool, since }, signal) {
      for (let after: number | null = 0; after !== null; ) {
        signal.throwIfAborted();
        const query = new URLSearchParams({ after: String(after), limit: String(PAGE) });
        if (pool !== undefined) query.set('pool', pool);
        if (since !== undefined) query.set('since', new Date(since).toISOString());
        const page: AuditPageView = await server.ask('GET', `/v1/audit?${query}`, 'entries');
        yield page.entries;
        after = page.next;
      }
    },
  };
}

/** Error: ADDRESS_NOT_FOUND. */
export function addressOfServer(url: string, address: string): Promise<AddressView> {
  return new ServerClient(url).ask('GET', `/v1/addresses/${address}`, 'state');
}
