/**
 * Keys that one node hands another through the database: each run has a key pair for it, whose private half is in
 * the memory of its process alone. So who has the sealing key in use and a copy of the database, now or later,
 * reads none of them. Who can write to the database, and has no sealing key, can neither pass a key pair for that of
 * a run nor hand one: both carry a MAC under the key in use. Pure.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import type { HeldKey } from './store-keys.ts';

/** Of a node, in words of the database. */
export interface ExchangingRun {
  readonly epoch: number;
  readonly run: Uint8Array;
  readonly node: string;
}

export interface HandedKey {
  /** Of the key that is handed. */
  readonly public_key: Uint8Array;
  readonly sealed: Uint8Array;
  readonly mac: Uint8Array;
}

type Holder = Pick<HeldKey, 'storeId' | 'handingKey'>;

/** Says that a run has this exchange key. */
export function exchangeMac(
  { storeId, handingKey }: Holder,
  { epoch, run, node }: ExchangingRun,
  exchangeKey: Uint8Array,
): Buffer {
  const whose = `vanitypool exchange key of ${storeId} ${node} ${epoch} ${hexOf(run)} `;
  return createHmac('sha256', handingKey).update(whose).update(exchangeKey).digest();
}

export function isMac(mac: Uint8Array | null, right: Uint8Array): boolean {
  return mac?.length === right.length && timingSafeEqual(mac, right);
}

/** By who holds the key in use: another one, for one run. */
export async function handOver(
  holder: Holder,
  to: ExchangingRun & { readonly exchangeKey: Uint8Array },
  key: SealingKey,
): Promise<HandedKey> {
  const sealed = Buffer.from(await key.sealedTo(to.exchangeKey, infoOf(holder, to)));
  const public_key = Buffer.from(key.publicKey);
  return { public_key, sealed, mac: handedMac(holder, to, sealed) };
}

/** Undefined for what no holder of the key in use has handed to this run. */
export async function take(
  holder: Holder & Pick<HeldKey, 'exchange'>,
  self: ExchangingRun,
  { sealed, mac }: HandedKey,
): Promise<SealingKey | undefined> {
  if (!isMac(mac, handedMac(holder, self, sealed))) return undefined;
  return holder.exchange.openKey(sealed, infoOf(holder, self));
}

function handedMac({ storeId, handingKey }: Holder, to: ExchangingRun, sealed: Uint8Array): Buffer {
  const info = infoOf({ storeId }, to);
  return createHmac('sha256', handingKey).update(info).update(sealed).digest();
}

function infoOf({ storeId }: Pick<Holder, 'storeId'>, { epoch, run, node }: ExchangingRun) {
  return Buffer.from(`vanitypool handed key of ${storeId} ${node} ${epoch} ${hexOf(run)} `);
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
