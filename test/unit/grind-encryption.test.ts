/** Key files that only their owner can read, by the library that others decrypt them with. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { armor, Decrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import { readEncryption, writeEncryptedFile } from '../../src/cli/grind-encryption.ts';
import { addressOf } from '../../src/keypair/address.ts';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import { expandedKeyFileText, keypairFileText } from '../../src/keypair/key-file.ts';
import { keypairOf, signingKeyOf } from '../../src/keypair/keypair.ts';
import { CollectedOutputs } from '../support/collected-outputs.ts';
import { publicKeyOfExpanded } from '../support/expanded-oracle.ts';

const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(root, { recursive: true }));
const { stderr } = new CollectedOutputs();
const key = signingKeyOf(keypairOf(Uint8Array.from(randomBytes(32))));
const address = addressOf(key.publicKey);

async function decrypted(text: string, by: (decrypter: Decrypter) => void): Promise<string> {
  const decrypter = new Decrypter();
  by(decrypter);
  return decrypter.decrypt(armor.decode(text), 'text');
}

test('a file is for each of its recipients, and for nobody else', async () => {
  const identities = [await generateIdentity(), await generateIdentity()];
  const recipients = await Promise.all(identities.map(identityToRecipient));
  const encrypt = (await readEncryption(recipients, stderr))!;
  const path = await writeEncryptedFile(root, key, encrypt);
  assert.equal(path, join(root, `${address}.json.age`));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const text = readFileSync(path, 'utf8');
  assert.ok(!text.includes(address));
  for (const identity of identities) {
    const plain = await decrypted(text, (decrypter) => decrypter.addIdentity(identity));
    assert.equal(plain, keypairFileText(key.key));
  }
  const other = await generateIdentity();
  await assert.rejects(decrypted(text, (decrypter) => decrypter.addIdentity(other)));
  await assert.rejects(writeEncryptedFile(root, key, encrypt), { code: 'FILE_EXISTS' });

  const expandedKey = expandedKeyOf(randomBytes(32));
  const publicKey = publicKeyOfExpanded(expandedKey);
  const expanded = { keyType: 'expanded', key: expandedKey, publicKey } as const;
  const itsPath = await writeEncryptedFile(root, expanded, encrypt);
  assert.equal(itsPath, join(root, `${addressOf(publicKey)}.expanded.json.age`));
  const plain = await decrypted(readFileSync(itsPath, 'utf8'), (decrypter) =>
    decrypter.addIdentity(identities[0]!),
  );
  assert.equal(plain, expandedKeyFileText(addressOf(publicKey), expandedKey));
});

test('a passphrase comes from the environment where there is no terminal', async () => {
  await assert.rejects(readEncryption(['passphrase'], stderr), { code: 'USAGE_INVALID' });
  process.env.VANITYPOOL_PASSPHRASE = 'correct horse';
  try {
    const encrypt = (await readEncryption(['passphrase'], stderr, 10))!;
    const text = await encrypt('secret');
    const plain = await decrypted(text, (decrypter) => decrypter.addPassphrase('correct horse'));
    assert.equal(plain, 'secret');
  } finally {
    delete process.env.VANITYPOOL_PASSPHRASE;
  }
});

test('what is no recipient is refused, and is not repeated: it may be a secret', async () => {
  const identity = await generateIdentity();
  const recipient = await identityToRecipient(identity);
  for (const to of [[identity], ['hunter2-hunter2'], [recipient, 'passphrase'], ['age1abc']]) {
    await assert.rejects(readEncryption(to, stderr), (error: Error & { code: string }) => {
      assert.equal(error.code, 'USAGE_INVALID');
      assert.match(error.message, /^--encrypt: /);
      for (const one of to) if (one !== 'passphrase') assert.ok(!error.message.includes(one));
      return true;
    });
  }
  assert.equal(await readEncryption([], stderr), undefined);
});
