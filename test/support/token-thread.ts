/**
 * What an HTTP thread does with tokens, in a thread of its own: it begins with the list that
 * workerData has, acts on each notice, and says how much memory it holds when it is asked.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { Access } from '../../src/http/access.ts';
import type { StoreNotices, StoreThreadCalls, TokenList } from '../../src/pool/calls.ts';
import { answer, Caller } from '../../src/port.ts';

export interface TokenThreadData {
  readonly tokens: TokenList;
  readonly store: MessagePort;
  readonly port: MessagePort;
}

export type TokenThreadCalls = {
  /** Bytes that are held when all garbage is collected, those of buffers included. */
  heldBytes(): number;
  /** The id of the token with this text; undefined if it is none. */
  idOf(text: string): number | undefined;
};

const { tokens, store, port } = workerData as TokenThreadData;
const access = new Access('auto');
access.setTokens(tokens);
workerData.tokens = undefined;
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const notices: Pick<StoreNotices, 'token'> = {
  token({ notice, ...change }) {
    access.setToken(change);
    void caller.call('heard', notice);
  },
};
const caller = new Caller<StoreThreadCalls>(store, 'STORE_UNAVAILABLE', notices);
answer<TokenThreadCalls>(
  port,
  {
    heldBytes() {
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    },
    idOf(text) {
      const headers = { host: 'localhost', authorization: `Bearer ${text}` };
      return access.check(headers, undefined)?.id;
    },
  },
  (error) => {
    throw error;
  },
);
parentPort!.postMessage('ready');
