/**
 * `grind --encrypt`: key files that only an age identity, or who knows the passphrase, can read (https://age-encryption.org).
 * The library is loaded for this option alone; it sees the keys that it encrypts.
 */
import { join } from 'node:path';
import type { Encrypter } from 'age-encryption';
import { addressOf } from '../keypair/address.ts';
import { expandedKeyFileText, keypairFileText, writeKeyFile } from '../keypair/key-file.ts';
import type { SigningKey } from '../keypair/signing-key.ts';
import { INTERRUPTED, usage } from './options.ts';
import type { Screen } from './output.ts';

/** The text of an encrypted file, armored: `age -d` reads it. */
export type Encrypt = (text: string) => Promise<string>;

/** As `age` itself has it: about a second of work, for a guess as well. */
const SCRYPT_LOG_N = 18;
const BY_PASSPHRASE = 'passphrase';
const ALLOWED = `allowed: an age recipient (age1...), or "${BY_PASSPHRASE}"`;

/**
 * Asks for the passphrase, if there is no VANITYPOOL_PASSPHRASE. Undefined if nothing is to be encrypted. Error: USAGE_INVALID,
 * without what was typed: it may be a secret.
 */
export async function readEncryption(
  to: readonly string[],
  stderr: Screen,
  scryptLogN = SCRYPT_LOG_N,
): Promise<Encrypt | undefined> {
  if (to.length === 0) return undefined;
  const age = await import('age-encryption');
  const encrypter = new age.Encrypter();
  if (to.includes(BY_PASSPHRASE)) {
    if (to.length > 1) throw usage('--encrypt: to a passphrase or to recipients, not to both');
    encrypter.setScryptWorkFactor(scryptLogN);
    encrypter.setPassphrase(process.env.VANITYPOOL_PASSPHRASE || (await askPassphrase(stderr)));
  } else {
    for (const recipient of to) addRecipient(encrypter, recipient);
  }
  return async (text) => {
    const bytes = Buffer.from(text);
    try {
      return age.armor.encode(await encrypter.encrypt(bytes));
    } finally {
      bytes.fill(0);
    }
  };
}

/**
 * Writes `<address>.json.age`, or `<address>.expanded.json.age`, and returns its path. Errors: FILE_EXISTS,
 * FILE_NOT_WRITABLE.
 */
export async function writeEncryptedFile(
  directory: string,
  { keyType, key, publicKey }: SigningKey,
  encrypt: Encrypt,
): Promise<string> {
  const address = addressOf(publicKey);
  const isSeed = keyType === 'seed';
  const text = isSeed ? keypairFileText(key) : expandedKeyFileText(address, key);
  const name = `${address}${isSeed ? '' : '.expanded'}.json.age`;
  return writeKeyFile(join(directory, name), await encrypt(text));
}

function addRecipient(encrypter: Encrypter, recipient: string): void {
  if (recipient.startsWith('AGE-SECRET-KEY-')) {
    throw usage(`--encrypt: this is an identity, which is secret; give its recipient; ${ALLOWED}`);
  }
  try {
    encrypter.addRecipient(recipient);
  } catch {
    throw usage(`--encrypt: this is no recipient; ${ALLOWED}`);
  }
}

/** Twice, and it is not shown. */
async function askPassphrase(stderr: Screen): Promise<string> {
  if (!process.stdin.isTTY) {
    throw usage('--encrypt: no terminal to ask for the passphrase; set VANITYPOOL_PASSPHRASE');
  }
  const first = await ask('Passphrase: ', stderr);
  if (first === '') throw usage('--encrypt: the passphrase is empty');
  if ((await ask('Again: ', stderr)) === first) return first;
  throw usage('--encrypt: the passphrases differ');
}

const [CONTROL_C, CONTROL_D] = ['\x03', '\x04'];

async function ask(prompt: string, stderr: Screen): Promise<string> {
  const { stdin } = process;
  stderr.write(prompt);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  let typed = '';
  try {
    for await (const keys of stdin.iterator({ destroyOnReturn: false })) {
      for (const key of String(keys)) {
        if (key === CONTROL_C) process.exit(INTERRUPTED);
        if (key === '\r' || key === '\n' || key === CONTROL_D) return typed;
        if (key === '\x7f' || key === '\b') typed = typed.slice(0, -1);
        else typed += key;
      }
    }
    return typed;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}
