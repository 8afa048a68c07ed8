/**
 * What the compiler has to allow and to refuse of a program that uses the client. Never run: `tsc`
 * reads it, and fails on an expected error that is none.
 */
import { VanitypoolClient, VanitypoolError } from '../../src/client/client.ts';

const client = new VanitypoolClient({ url: 'http://127.0.0.1:5057', token: undefined });

export async function allowed(signal: AbortSignal, error: unknown): Promise<string | undefined> {
  const [first] = await client.dispense('pet', { count: 2, idempotencyKey: 'x', signal });
  const held = await client.reserve('pet', { ttlSeconds: 60 });
  const state: 'reserved' | 'dispensed' | 'released' | 'expired' = (
    await client.reservation(held.id)
  ).state;
  for await (const { pools, readiness } of client.events({ signal })) {
    const figures: number[] = pools.map(({ ready }) => ready);
    const status: 'ready' | 'degraded' | 'unavailable' = readiness.status;
    if (status === 'ready' && figures.length > 0) return state;
  }
  const { grinder } = await client.status();
  const [thread] = grinder?.threads ?? [];
  if (thread?.priority === 'idle') return (await client.health()).version;
  await client.admin.createToken({ name: 'x', scopes: ['dispense'], quota: null, pools: ['pet'] });
  await client.admin
    .rotateKey({ to: 'env:NEW', reseal: true })
    .then(({ source, oldSource }) => [source, oldSource]);
  await client.admin.createPool({ name: 'x', suffix: 'pump', handout: 'sign-only', signLimit: 2 });
  for await (const { id, cause } of client.admin.audit({ pool: 'pet', since: new Date(0) })) {
    if (id > 1) return cause ?? undefined;
  }
  if (error instanceof VanitypoolError) {
    if (error.code === 'POOL_EMPTY' || error.code === 'TIMEOUT') return error.detail;
  }
  return first?.secretKey;
}

export async function refused(error: VanitypoolError): Promise<void> {
  // @ts-expect-error The url is needed.
  new VanitypoolClient({});
  // @ts-expect-error A count is a number.
  await client.dispense('pet', { count: '2' });
  // @ts-expect-error There is no such option.
  await client.dispense('pet', { key: 'x' });
  // @ts-expect-error A message is bytes.
  await client.sign('pet', 'address', 'message');
  // @ts-expect-error Releasing gives nothing back.
  (await client.release('id')).address;
  const [mint] = await client.dispense('pet');
  // @ts-expect-error There may be none, by its type.
  mint.address;
  // @ts-expect-error A sign-only pool gives none.
  mint!.secretKey.length;
  // @ts-expect-error A reservation does not contain the secret.
  (await client.reserve('pet')).secretKey;
  // @ts-expect-error There is no such scope.
  await client.admin.createToken({ name: 'x', scopes: ['write'] });
  // @ts-expect-error The name has to be given twice.
  await client.admin.deletePool('pet');
  // @ts-expect-error The pattern of a pool never changes.
  await client.admin.changePool('pet', { suffix: 'x' });
  // @ts-expect-error No audit contains a secret.
  await client.admin.address('A').then(({ secretKey }) => secretKey);
  // @ts-expect-error HTTP never answers this code: it stops a start.
  if (error.code === 'PORT_IN_USE') return;
  // @ts-expect-error There is no such code.
  if (error.code === 'POOL_EMTPY') return;
}
