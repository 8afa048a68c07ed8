/** Addresses as replies carry them, with their secrets or without. Runs in the HTTP threads. */
import type { FastifyReply } from 'fastify';
import type { Pool } from '../pool/pool.ts';
import type { ReadyAddress } from '../pool/ready-address.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

/** As the pool hands out: with secrets, or without. */
export function sendAddresses(
  reply: Pick<FastifyReply, 'raw'>,
  { shared: { handout } }: Pool,
  addresses: readonly ReadyAddress[],
): void {
  const rows = addresses.map((address) => addressJson(address, handout === 'secret')).join(',');
  const plain = reply as FastifyReply;
  plain.header('cache-control', 'no-store').type(JSON_TYPE).send(`{"addresses":[${rows}]}`);
}

/** By hand: every part is a number or a text without a character that JSON escapes. */
export function addressJson(ready: ReadyAddress, withSecret: boolean): string {
  const { id, address, keyType, origin, createdAt } = ready;
  const name = keyType === 'expanded' ? 'expandedKey' : 'secretKey';
  const secret = withSecret ? `"${name}":"${ready.secret}",` : '';
  const time = new Date(createdAt).toISOString();
  return (
    `{"id":${id},"address":"${address}","keyType":"${keyType}",${secret}` +
    `"origin":"${origin}","createdAt":"${time}"}`
  );
}
