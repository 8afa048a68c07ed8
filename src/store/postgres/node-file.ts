/**
 * Who this node is: a file of its data directory with its id and its key, made once. Runs in the store thread,
 * while the directory is held.
 *
 *   node.json   { id, identity, key }, mode 0600
 *
 * Two nodes with one id would each settle what the other hands out. So the file also records what distinguishes it
 * from its copies (disk/identity.ts), and a copy is refused. What is not known of it is not guessed.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { formatIdentity, isSameFile, ownIdentityOf, parseIdentity } from '../../disk/identity.ts';
import { readText } from '../../disk/regular-files.ts';
import { appendToFile, syncName, writeNewFile } from '../../disk/synced-writes.ts';
import { VanityError } from '../../errors.ts';
import type { NodeIdentity } from './run.ts';

export const NODE_FILE = 'node.json';

const ID = /^[0-9a-f]{32}$/;
const PLACE_DIGITS = 16;

interface Content {
  readonly id: string;
  /** As `formatIdentity` writes it. */
  readonly identity: string;
  /** PKCS #8, in base64. */
  readonly key: string;
}

/**
 * The node of this directory, which is made if there is none. Errors: DATA_MOVED for a copy, STORE_CORRUPT, those
 * of the system.
 */
export function nodeIn(directory: string): NodeIdentity {
  const path = join(directory, NODE_FILE);
  if (!existsSync(path)) {
    writeNewFile(path, '');
    syncName(path);
  }
  // Empty if a start was cut off: nobody knows of that node.
  const { id, identity, key: text } = contentIn(path, readText(path) || complete(path));
  const recorded = parseIdentity(identity);
  if (recorded === undefined) throw damaged(path);
  if (!isSameFile(recorded, ownIdentityOf(path))) throw copied(path, id);
  const key = keyOf(path, text);
  return {
    ...{ id, name: hostname(), place: id.slice(0, PLACE_DIGITS) },
    signKey: Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x!, 'base64url'),
    sign: (message) => sign(null, message, key),
  };
}

/** On disk when this returns: the text. */
function complete(path: string): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
  const id = randomBytes(16).toString('hex');
  const text = `${JSON.stringify({ id, identity: formatIdentity(ownIdentityOf(path)), key })}\n`;
  appendToFile(path, text);
  return text;
}

function contentIn(path: string, text: string): Content {
  try {
    const { id, identity, key } = JSON.parse(text) as Partial<Content>;
    const areTexts = typeof identity === 'string' && typeof key === 'string';
    if (areTexts && ID.test(String(id))) return { id: String(id), identity, key };
  } catch {
    // As one that lacks something.
  }
  throw damaged(path);
}

function keyOf(path: string, text: string): KeyObject {
  try {
    const der = Buffer.from(text, 'base64');
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // As one of another type.
  }
  throw damaged(path);
}

function damaged(path: string): VanityError {
  const detail =
    'is damaged. Put it back from a backup of this directory; without it this is another node';
  return new VanityError('STORE_CORRUPT', `${path}: ${detail}`);
}

function copied(path: string, id: string): VanityError {
  const detail =
    `a copy: node ${id} has its directory elsewhere, or had it there. If that one never runs again, ` +
    'or this is to be another node: remove this file, and start again';
  return new VanityError('DATA_MOVED', `${path}: ${detail}`);
}
