/**
 * Enrols a node: what an operator does beside whatever runs. It takes the private sealing key and no run of its
 * own. Runs in the thread that calls it.
 */
import { VanityError } from '../../errors.ts';
import { findSealingKey, isKey, wrongKey } from '../../keypair/sealing-key-files.ts';
import { bindingOf } from './bound-rows.ts';
import { Connection } from './connection.ts';
import { enrol, nodeOf } from './enrolment.ts';
import { migrate } from './schema.ts';
import { checkServer } from './server-check.ts';
import type { ConnectionSettings } from './settings.ts';

const CLUSTER = 'SELECT store_id, sealing_key FROM vanitypool.cluster FOR UPDATE';

export interface Enrolment {
  readonly settings: ConnectionSettings;
  /** Of the private key. */
  readonly sealingKey: string;
  readonly id: string;
  /** As the node itself has said it, not the database. */
  readonly signKey: Uint8Array;
}

/**
 * What the node is called. Errors: NODE_NOT_FOUND, NODE_KEY_MISMATCH, SEALING_KEY_INVALID, STORE_NOT_FOUND,
 * STORE_FORGED, as of `join`.
 */
export async function enrolNode({ settings, sealingKey, id, signKey }: Enrolment) {
  await using connection = new Connection(settings);
  await checkServer(connection, false);
  await migrate(connection, false);
  return await connection.transaction(async ({ query }) => {
    const [cluster] = (await query<ClusterRow>(CLUSTER)).rows;
    const { store_id, sealing_key } = cluster!;
    const { key } = await findSealingKey(sealingKey, sealing_key);
    if (sealing_key === null || key === undefined) throw noKey(sealingKey);
    if (!isKey(key, sealing_key)) throw noKey(sealingKey, wrongKey(sealingKey, key, sealing_key));
    const node = await nodeOf(query, id);
    if (node === undefined) throw unknown(id);
    if (!Buffer.from(node.sign_key).equals(signKey)) throw otherKey(id, node.sign_key);
    const { id: binding } = await bindingOf(query, store_id, key);
    await enrol(query, key.nodeKey(store_id, binding), { id, signKey });
    return { id, name: node.name };
  });
}

interface ClusterRow {
  readonly store_id: string;
  readonly sealing_key: Uint8Array | null;
}

function noKey(source: string, why = 'it takes the sealing key that the store is sealed with') {
  return new VanityError('SEALING_KEY_INVALID', `${source}: ${why}; type this on an api node`);
}

function unknown(id: string): VanityError {
  const detail = `node ${id}: the database knows no such node; start it once, which makes it known`;
  return new VanityError('NODE_NOT_FOUND', detail);
}

function otherKey(id: string, found: Uint8Array): VanityError {
  const key = Buffer.from(found).toString('hex');
  const detail = `node ${id}: the database has the key ${key} for it, which is not the one given`;
  const advice = 'compare both with what the node itself says at its start';
  return new VanityError('NODE_KEY_MISMATCH', `${detail}; ${advice}`);
}
