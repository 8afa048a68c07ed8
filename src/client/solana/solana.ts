/**
 * Signers for Solana transactions with dispensed addresses: what `vanitypool/client/solana` exports. From a
 * keypair, from an expanded key, or by the server, for @solana/kit 8; and what adapts each of them to
 * @solana/web3.js 1.x and Umi. No Solana library is loaded. docs/solana.md shows them.
 */
export { VanitypoolError } from '../error.ts';
export { createExpandedSigner, type ExpandedSource } from './expanded.ts';
export { createKeypairSigner, type KeypairSource } from './keypair.ts';
export { createRemoteSigner, type RemoteSource } from './remote.ts';
export type { KitAddress, KitSignature, KitTransaction, SolanaSigner } from './signer.ts';
export { createUmiSigner, type UmiSigner, type UmiTransaction } from './umi.ts';
export {
  createWeb3Signer,
  type Web3Message,
  type Web3PublicKey,
  type Web3Signer,
  type Web3Transaction,
} from './web3.ts';
