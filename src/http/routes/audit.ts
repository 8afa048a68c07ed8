/**
 * What became of addresses, for those who manage the server: pages of what left or was given up, and
 * any address by its name. Never a secret. Runs in the HTTP threads; a reader beside the store
 * thread looks, so that no other request waits. What left in the last 100 ms may not be listed yet.
 */

import { AddressView, AuditPageView, AuditQueryString, OneAddressParams } from '../../api/audit.ts';
import { addressView, auditEntry } from '../../api/views.ts';
import { VanityError } from '../../errors.ts';
import { decodeBase58, isAddress } from '../../keypair/address.ts';
import { mayUse } from '../access.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { moment } from '../problems.ts';

const { default: LIMIT } = AuditQueryString.properties.limit;

export function auditRoutes(app: App, { store }: AppDeps): void {
  app.get(
    '/v1/audit',
    {
      config: { scope: 'admin', errors: ['POOL_NOT_FOUND', 'STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'listAudit',
        summary: 'What left or was given up, by id',
        description:
          'Every address that is dispensed, reserved or burned. Follow `next` to the end.',
        tags: ['audit'],
        querystring: AuditQueryString,
        response: { 200: AuditPageView },
      },
    },
    async ({ query, token }): Promise<AuditPageView> => {
      const { after = 0, limit = LIMIT, pool, since } = query;
      if (pool !== undefined && !mayUse(token, pool)) {
        throw new VanityError('POOL_NOT_FOUND', `pool ${pool}: no such pool`);
      }
      const page = await store().call('auditPage', {
        after,
        limit,
        pool,
        since: since === undefined ? undefined : moment(since, 'query/since', 'REQUEST_INVALID'),
      });
      const visible = page.addresses.filter((address) => mayUse(token, address.pool));
      return { entries: visible.map(auditEntry), next: page.next ?? null };
    },
  );

  app.get(
    '/v1/addresses/:address',
    {
      config: { scope: 'admin', errors: ['ADDRESS_NOT_FOUND', 'STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'getAddress',
        summary: 'What became of one address',
        tags: ['audit'],
        params: OneAddressParams,
        response: { 200: AddressView },
      },
    },
    async ({ params: { address }, token }): Promise<AddressView> => {
      const found = isAddress(address)
        ? await store().call('findAddress', decodeBase58(address))
        : undefined;
      if (found !== undefined && mayUse(token, found.pool)) return addressView(address, found);
      throw new VanityError('ADDRESS_NOT_FOUND', 'the store has never had this address');
    },
  );
}
