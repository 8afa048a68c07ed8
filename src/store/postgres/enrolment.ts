/**
 * Which nodes may add addresses: those that are enrolled, by a MAC of their id and their key. It is under a key
 * that only the private sealing key gives, so that who can merely write to the database enrols nobody. Runs in the
 * thread that opened the store, inside a transaction of the caller.
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { VanityError } from '../../errors.ts';
import type { NodeIdentity } from './run.ts';
import type { Query } from './transaction.ts';

const SQL = {
  /** A row of this id with another key is somebody else's work. */
  enrol: 'UPDATE vanitypool.nodes SET sign_key = $2, enrolment = $3 WHERE id = $1',
  node: 'SELECT id, name, sign_key, enrolment FROM vanitypool.nodes WHERE id = $1',
} as const;

export interface NodeRow {
  readonly id: string;
  readonly name: string;
  readonly sign_key: Uint8Array;
  readonly enrolment: Uint8Array | null;
}

export async function nodeOf(query: Query, id: string): Promise<NodeRow | undefined> {
  return (await query<NodeRow>(SQL.node, [id])).rows[0];
}

/** By who has the private sealing key: `key` is of that (`SealingKey.nodeKey`). */
export async function enrol(
  query: Query,
  key: KeyObject,
  { id, signKey }: Pick<NodeIdentity, 'id' | 'signKey'>,
): Promise<void> {
  await query(SQL.enrol, [id, Buffer.from(signKey), enrolmentOf(key, id, signKey)]);
}

/** Whether the row says what such a node enrolled. */
export function isEnrolled(
  key: KeyObject,
  { id, sign_key: signKey, enrolment }: Pick<NodeRow, 'id' | 'sign_key' | 'enrolment'>,
): boolean {
  const right = enrolmentOf(key, id, signKey);
  return enrolment?.length === right.length && timingSafeEqual(enrolment, right);
}

function enrolmentOf(key: KeyObject, id: string, signKey: Uint8Array): Buffer {
  // Both have one length: no two nodes look alike.
  return createHmac('sha256', key).update(Buffer.from(id, 'hex')).update(signKey).digest();
}

/** Error: NODE_NOT_ENROLLED, with what to type; as far as it shows without the private key. */
export async function assertEnrolled(query: Query, node: NodeIdentity): Promise<void> {
  const { id, signKey } = node;
  const row = await nodeOf(query, id);
  const isIts = row !== undefined && Buffer.from(row.sign_key).equals(signKey);
  if (isIts && row.enrolment !== null) return;
  const key = Buffer.from(signKey).toString('hex');
  const detail = `node ${id}: is not enrolled, so nobody takes what it grinds; its key is ${key}`;
  const command = `vanitypool nodes enrol ${id} --key ${key}`;
  throw new VanityError('NODE_NOT_ENROLLED', `${detail}. Type on an api node: ${command}`);
}
