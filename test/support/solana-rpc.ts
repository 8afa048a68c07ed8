/**
 * A Solana network of one process: the real runtime (`litesvm`, with the programs that every cluster
 * has) behind as much of the JSON-RPC interface as a program needs to send a transaction.
 */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import {
  type Address,
  getBase58Decoder,
  getBase64Encoder,
  getTransactionDecoder,
  lamports,
} from '@solana/kit';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';
import { encodeBase58 } from '../../src/keypair/address.ts';

/** A new payer, and its keypair as a file of `solana-keygen` has it. */
export function payerFile(): { readonly file: string; readonly payer: Address } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const parts = [privateKey.export({ format: 'jwk' }).d, publicKey.export({ format: 'jwk' }).x];
  const keypair = Buffer.concat(parts.map((part) => Buffer.from(part!, 'base64url')));
  const payer = encodeBase58(keypair.subarray(32)) as Address;
  return { file: JSON.stringify([...keypair]), payer };
}

export class SolanaRpc implements AsyncDisposable {
  readonly svm = new LiteSVM();
  url = '';
  /** A method that fails, as when the network is overloaded. */
  failing: string | undefined;
  readonly #server = createServer(async (request, reply) => {
    const { id, method, params } = JSON.parse(await text(request));
    reply.setHeader('content-type', 'application/json');
    let answer: object;
    try {
      answer = { result: this.#answer(method, params) };
    } catch (error) {
      answer = { error: { code: -32603, message: String(error) } };
    }
    reply.end(JSON.stringify({ jsonrpc: '2.0', id, ...answer }));
  });

  static async start(): Promise<SolanaRpc> {
    const rpc = new SolanaRpc();
    await new Promise<void>((resolve) => rpc.#server.listen(0, '127.0.0.1', resolve));
    rpc.url = `http://127.0.0.1:${(rpc.#server.address() as AddressInfo).port}`;
    return rpc;
  }

  fund(address: Address): void {
    this.svm.airdrop(address, lamports(10_000_000_000n));
  }

  /** As a node that goes away. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #answer(method: string, params: readonly unknown[]): unknown {
    if (method === this.failing) throw new Error('overloaded');
    switch (method) {
      case 'getLatestBlockhash': {
        const value = { blockhash: this.svm.latestBlockhash(), lastValidBlockHeight: 1000 };
        return { context: { slot: 1 }, value };
      }
      case 'getBalance': {
        const value = this.svm.getBalance(params[0] as Address) ?? 0n;
        return { context: { slot: 1 }, value: Number(value) };
      }
      case 'getMinimumBalanceForRentExemption':
        return Number(this.svm.minimumBalanceForRentExemption(BigInt(params[0] as number)));
      case 'sendTransaction':
        return this.#send(params[0] as string);
      default:
        throw new Error(`${method} is not served here`);
    }
  }

  /** The signature of the payer, which is the first. */
  #send(wire: string): string {
    const transaction = getTransactionDecoder().decode(getBase64Encoder().encode(wire));
    const outcome = this.svm.sendTransaction(transaction);
    if (outcome instanceof FailedTransactionMetadata) throw new Error(outcome.toString());
    return getBase58Decoder().decode(Object.values(transaction.signatures)[0]!);
  }
}
