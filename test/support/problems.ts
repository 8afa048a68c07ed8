/** Replies that are problem documents. */
import assert from 'node:assert/strict';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';

interface Reply {
  readonly statusCode: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

export function assertProblem(reply: Reply, code: ErrorCode, detail: RegExp): void {
  assert.equal(reply.statusCode, ERRORS[code].status, reply.body);
  assert.equal(reply.headers['content-type'], 'application/problem+json; charset=utf-8');
  const problem = JSON.parse(reply.body);
  assert.deepEqual(Object.keys(problem), ['type', 'title', 'status', 'code', 'detail']);
  assert.equal(problem.code, code);
  assert.equal(problem.status, reply.statusCode);
  assert.match(problem.detail, detail);
}
