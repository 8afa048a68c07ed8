/**
 * Requests to any operation of the OpenAPI document, which get past everything but what a test is about:
 * with the right of an administrator, a path that fits, and a body that is right. No store thread
 * answers: what is let through ends as 503, or with a pool's addresses.
 */
import { newToken, SCOPES, tokenHash } from '../../src/token.ts';
import {
  codeIn,
  contentOf,
  documentOf,
  type OpenApi,
  operationsOf,
  type Told,
} from './documented.ts';
import { type TestApp, testApp } from './http-app.ts';

/** Bodies of operations that show none, since it is their user's alone. */
const OWN_BODIES: Readonly<Record<string, object>> = {
  deletePool: { burn: 'pet' },
  sign: { message: 'AQAB' },
  cosign: { transaction: 'AQAB' },
  transitSign: { input: 'AQAB' },
  transitSignByPut: { input: 'AQAB' },
};

export interface AnyAnswer {
  readonly status: number;
  readonly code: string | undefined;
  readonly detail: string;
}

export interface AnyRequest extends TestApp {
  readonly document: OpenApi;
  /** All but the stream of events, whose answer has no end. */
  readonly operations: readonly Told[];
  /** `query` begins with `?`; a body that is an object goes as JSON. */
  send(
    told: Told,
    more?: { query?: string; headers?: Record<string, string>; body?: unknown },
  ): Promise<AnyAnswer>;
}

/** A body that the operation takes; undefined where it takes none. */
export function rightBody({ operation }: Told): object | undefined {
  if (operation.requestBody === undefined) return undefined;
  const { example } = contentOf(operation.requestBody) ?? {};
  return (example as object | undefined) ?? OWN_BODIES[operation.operationId];
}

export async function anyRequest(): Promise<AnyRequest> {
  const made = await testApp();
  const token = newToken();
  const limits = { pools: undefined, quota: undefined, expiresAt: undefined };
  const known = { id: 1, name: 'all', hash: tokenHash(token), scopes: SCOPES, ...limits };
  made.access.setTokens({ tokens: [known], areAny: true });
  const document = await documentOf(made.app);
  const operations = operationsOf(document).filter(({ path }) => path !== '/v1/events');
  return {
    ...made,
    document,
    operations,
    async send({ method, path }, { query = '', headers = {}, body } = {}) {
      const reply = await made.app.inject({
        method: method.toUpperCase() as 'GET',
        url: path.replace(/\{\w+\}/g, 'pet') + query,
        headers: { host: 'localhost', authorization: `Bearer ${token}`, ...headers },
        ...(body !== undefined && { payload: body as object }),
      });
      const status = reply.statusCode;
      if (status < 400) return { status, code: undefined, detail: '' };
      const error = reply.json();
      const code = codeIn(error);
      return { status, code, detail: error.detail ?? error.errors[0].slice(code.length + 2) };
    },
  };
}
