/**
 * What the compiler has to allow and to refuse of signers, by the types of the libraries that they are for.
 * Never run: `tsc` reads it, and fails on an expected error that is none.
 */
import type * as umi from '@metaplex-foundation/umi';
import type * as kit from '@solana/kit';
import type * as web3 from '@solana/web3.js';
import { VanitypoolClient } from '../../src/client/client.ts';
import {
  createExpandedSigner,
  createKeypairSigner,
  createRemoteSigner,
  createUmiSigner,
  createWeb3Signer,
  type KitAddress,
  type KitSignature,
  type SolanaSigner,
} from '../../src/client/solana/solana.ts';

const client = new VanitypoolClient({ url: 'http://127.0.0.1:5057' });

/** True if each can stand for the other. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
const areSame: [Same<KitAddress, kit.Address>, Same<KitSignature, kit.SignatureBytes>] = [
  true,
  true,
];

/** The interface of wallets that Anchor and wallet adapters of web3.js 1.x have. */
interface Wallet {
  publicKey: web3.PublicKey;
  signTransaction<T extends web3.Transaction | web3.VersionedTransaction>(tx: T): Promise<T>;
  signAllTransactions<T extends web3.Transaction | web3.VersionedTransaction>(
    txs: T[],
  ): Promise<T[]>;
}

export async function allowed(keys: {
  web3: web3.PublicKey;
  umi: umi.PublicKey;
  legacy: web3.Transaction;
  versioned: web3.VersionedTransaction;
  transaction: kit.Transaction;
}): Promise<unknown> {
  const [mint] = await client.dispense('pet');
  const { address } = mint!;
  const fromKeypair: SolanaSigner = await createKeypairSigner(mint!);
  const fromFile = await createKeypairSigner({ secretKey: JSON.parse('[]') as number[] });
  const fromExpanded = await createExpandedSigner({ expandedKey: 'base58', address });
  const remote = createRemoteSigner({ client, pool: 'pet', address });
  const forKit: kit.TransactionPartialSigner[] = [fromKeypair, fromFile, fromExpanded, remote];
  const forInstructions: kit.TransactionSigner = remote;
  const forFees: kit.Address = remote.address;
  const [signatures] = await remote.signTransactions([keys.transaction]);
  const bytes: kit.SignatureBytes | undefined = signatures?.[forFees];

  const wallet: Wallet = createWeb3Signer(remote, keys.web3);
  const legacy: web3.Transaction = await wallet.signTransaction(keys.legacy);
  const versioned: web3.VersionedTransaction = await wallet.signTransaction(keys.versioned);
  const both = await wallet.signAllTransactions([keys.legacy, keys.versioned]);

  const forUmi: umi.Signer = createUmiSigner(remote, keys.umi);
  return [areSame, forKit, forInstructions, bytes, legacy, versioned, both, forUmi];
}

export async function refused(signer: SolanaSigner, key: web3.PublicKey): Promise<void> {
  // @ts-expect-error The address of an expanded key is needed.
  await createExpandedSigner({ expandedKey: 'base58' });
  // @ts-expect-error So is the pool.
  createRemoteSigner({ client, address: 'x' });
  // @ts-expect-error A message is bytes.
  await signer.sign('message');
  // @ts-expect-error It signs no messages that are not of transactions.
  const forMessages: kit.MessagePartialSigner = signer;
  // @ts-expect-error It sends nothing.
  const sending: kit.TransactionSendingSigner = signer;
  // @ts-expect-error A text is not what web3.js adds signatures for.
  createWeb3Signer(signer, 'address');
  // @ts-expect-error Neither is a transaction in bytes.
  await createWeb3Signer(signer, key).signTransaction(new Uint8Array(1));
  // @ts-expect-error There is no secret to send somewhere.
  await (createWeb3Signer(signer, key) satisfies web3.Signer);
  void [forMessages, sending];
}
