import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Access, mayUse } from '../../src/http/access.ts';
import { isToken, type KnownToken, newToken, type Scope, tokenHash } from '../../src/token.ts';

const HOST = { host: '127.0.0.1:5057' };
let id = 0;

/** A token that may do this, and its text. */
function made(
  scopes: Scope[],
  more: Partial<KnownToken> = {},
): { text: string; token: KnownToken } {
  const text = newToken();
  const any = { pools: undefined, quota: undefined, expiresAt: undefined };
  return {
    text,
    token: { id: ++id, name: `t${id}`, hash: tokenHash(text), scopes, ...any, ...more },
  };
}

const bearing = (text: string) => ({ host: 'pool.example', authorization: `Bearer ${text}` });

test('a token is recognised, long, and never the same', () => {
  const texts = Array.from({ length: 100 }, newToken);
  assert.equal(new Set(texts).size, 100);
  for (const text of texts) assert.match(text, /^vp_[A-Za-z0-9_-]{43}$/);
  for (const text of texts) assert.ok(isToken(text));
  for (const text of ['', 'vp_', `${texts[0]}x`, ` ${texts[0]}`]) assert.ok(!isToken(text));
});

test('without tokens this machine is served, and admin routes are not', () => {
  const access = new Access('auto');
  for (const scope of ['read', 'dispense', undefined] as const) {
    assert.equal(access.check(HOST, scope), undefined);
    assert.throws(() => access.check({ host: 'pool.example' }, scope), { code: 'HOST_REFUSED' });
  }
  assert.throws(() => access.check(HOST, 'admin'), { code: 'TOKEN_REQUIRED' });
  assert.ok(access.mayRead(undefined));
});

test('from the first token on one is asked for, even when it is revoked', () => {
  const access = new Access('auto');
  const { text, token } = made(['dispense']);
  access.setTokens({ tokens: [token], areAny: true });
  assert.throws(() => access.check(HOST, 'read'), {
    code: 'TOKEN_REQUIRED',
    message: /is missing/,
  });
  assert.equal(access.check({ host: 'pool.example' }, undefined), undefined, 'open to all');
  assert.equal(access.check(bearing(text), 'dispense')!.name, token.name);
  assert.ok(!access.mayRead(undefined));
  access.setTokens({ tokens: [], areAny: true });
  assert.throws(() => access.check(bearing(text), 'dispense'), { code: 'TOKEN_REQUIRED' });
  assert.throws(() => access.check(HOST, 'read'), { code: 'TOKEN_REQUIRED' });
});

test('auth.required says it for good', () => {
  assert.throws(() => new Access(true).check(HOST, 'read'), { code: 'TOKEN_REQUIRED' });
  const never = new Access(false);
  never.setTokens({ tokens: [], areAny: true });
  assert.equal(never.check(HOST, 'read'), undefined);
});

test('a page of the server itself is no foreign one, with TLS neither', () => {
  const page = (scheme: string) => {
    const origin = `${scheme}://${HOST.host}`;
    return { ...HOST, origin, referer: `${origin}/docs` };
  };
  for (const [isEncrypted, own, other] of [
    [false, 'http', 'https'],
    [true, 'https', 'http'],
  ] as const) {
    const access = new Access('auto', isEncrypted);
    assert.equal(access.check(page(own), 'dispense'), undefined);
    const { host, origin, referer } = page(other);
    for (const headers of [
      { host, origin },
      { host, referer },
    ]) {
      assert.throws(() => access.check(headers, 'dispense'), { code: 'FOREIGN_REQUEST' });
    }
  }
});

test('a token does what its scopes say, and nothing more', () => {
  const access = new Access('auto');
  const { text, token } = made(['read']);
  access.setTokens({ tokens: [token], areAny: true });
  const refused = { code: 'SCOPE_REQUIRED', message: 'this route asks for the scope dispense' };
  assert.throws(() => access.check(bearing(text), 'dispense'), refused);
  assert.equal(access.check(bearing(text), 'read'), token);
  assert.ok(access.mayRead(token) && !access.mayRead(made(['dispense']).token));
  assert.ok(!access.mayRead(made(['read'], { pools: ['pet'] }).token), 'it would name other pools');
});

test('a token has expired when either clock says so', () => {
  const soon = made(['read'], { expiresAt: Date.now() + 3_600_000 });
  for (const [aheadMs, isValid] of [
    [-86_400_000, true],
    [0, true],
    [3_600_000, false],
  ] as const) {
    const access = new Access('auto', false, () => Date.now() + aheadMs);
    access.setTokens({ tokens: [soon.token], areAny: true });
    const check = () => access.check(bearing(soon.text), 'read');
    if (isValid) assert.equal(check(), soon.token);
    else assert.throws(check, { code: 'TOKEN_REQUIRED' });
  }
});

test('what is not a valid token is refused, however it is not', () => {
  const access = new Access('auto');
  const { text, token } = made(['read']);
  const over = made(['read'], { expiresAt: Date.now() - 1 });
  const soon = made(['read'], { expiresAt: Date.now() + 3_600_000 });
  access.setTokens({ tokens: [token, over.token, soon.token], areAny: true });
  assert.equal(access.check(bearing(soon.text), 'read'), soon.token);
  const wrong = [
    `Bearer ${newToken()}`,
    `Bearer ${over.text}`,
    `Basic ${text}`,
    text,
    'Bearer',
    '',
  ];
  for (const authorization of [...wrong, `Bearer ${text} ${text}`, `Bearer ${text.slice(0, -1)}`]) {
    const headers = { ...HOST, authorization };
    assert.throws(() => access.check(headers, 'read'), {
      code: 'TOKEN_REQUIRED',
      message: 'authorization: not a valid token',
    });
  }
  assert.throws(() => new Access('auto').check({ ...HOST, authorization: 'Bearer x' }, 'read'), {
    code: 'TOKEN_REQUIRED',
  });
});

test("the command line's own token may do everything, before and after others are made", () => {
  const access = new Access('auto');
  const text = newToken();
  access.setOwn(tokenHash(text));
  for (const scope of ['admin', 'read', 'dispense'] as const) {
    assert.equal(access.check(bearing(text), scope)!.id, 0);
  }
  access.setTokens({ tokens: [made(['read']).token], areAny: true });
  assert.equal(access.check(bearing(text), 'admin')!.id, 0);
});

test('a change is of one token alone, and what was known of it before does not matter', () => {
  const access = new Access('auto');
  const own = newToken();
  access.setOwn(tokenHash(own));
  const [first, second] = [made(['read']), made(['read'])];
  const known = () =>
    [own, first.text, second.text].map((text) => access.check(bearing(text), undefined)?.id);
  access.setToken({ token: first.token, isValid: false });
  assert.ok(!access.isRequired, 'a token that is none does not make others be asked for');
  for (let times = 0; times < 2; times++) access.setToken({ token: first.token, isValid: true });
  assert.ok(access.isRequired, 'it is the first that was made');
  access.setToken({ token: second.token, isValid: true });
  assert.deepEqual(known(), [0, first.token.id, second.token.id]);
  for (let times = 0; times < 2; times++) access.setToken({ token: first.token, isValid: false });
  assert.deepEqual(known(), [0, undefined, second.token.id]);
  access.setToken({ token: second.token, isValid: false });
  assert.ok(access.isRequired, 'also when all are revoked');
});

test('which tokens were used is reported once', () => {
  const access = new Access('auto');
  const own = newToken();
  access.setOwn(tokenHash(own));
  const [first, second] = [made(['read']), made(['read'])];
  access.setTokens({ tokens: [first.token, second.token], areAny: true });
  access.check(bearing(own), 'read');
  access.check(bearing(second.text), 'read');
  access.check(bearing(second.text), 'read');
  assert.deepEqual(access.takeUsed(), [second.token.id]);
  assert.deepEqual(access.takeUsed(), []);
});

test('a token of some pools sees no other', () => {
  const { token } = made(['read'], { pools: ['pet'] });
  assert.ok(mayUse(token, 'pet') && !mayUse(token, 'pump'));
  assert.ok(mayUse(made(['read']).token, 'pump') && mayUse(undefined, 'pump'));
});

test('a watch returns the token as it is by then, and its text is read once', () => {
  const access = new Access('auto');
  const { text, token } = made(['read', 'dispense']);
  const other = made(['read']);
  access.setTokens({ tokens: [token, other.token], areAny: true });
  let reads = 0;
  const headers = {
    host: 'pool.example',
    get authorization() {
      reads++;
      return `Bearer ${text}`;
    },
  };
  const watch = access.watch(headers, 'read');
  reads = 0;
  assert.equal(watch(), token);
  access.setToken({ token: other.token, isValid: false });
  assert.equal(watch(), token);
  const narrowed = { ...token, pools: ['pet'] };
  access.setToken({ token: narrowed, isValid: true });
  assert.equal(watch(), narrowed);
  assert.equal(reads, 0);
  access.takeUsed();
  watch();
  assert.deepEqual(access.takeUsed(), [token.id], 'it is in use');
  access.setToken({ token: { ...token, scopes: ['dispense'] }, isValid: true });
  assert.throws(watch, { code: 'SCOPE_REQUIRED' });
  access.setToken({ token, isValid: true });
  assert.equal(watch(), token);
  access.setToken({ token, isValid: false });
  assert.throws(watch, { code: 'TOKEN_REQUIRED', message: /not a valid token/ });
  access.setTokens({ tokens: [token], areAny: true });
  assert.equal(watch(), token);
  access.setTokens({ tokens: [], areAny: true });
  assert.throws(watch, { code: 'TOKEN_REQUIRED' });
});

test('a watch ends with the expiry of the token, by either clock', () => {
  let aheadMs = 0;
  const access = new Access('auto', false, () => Date.now() + aheadMs);
  const { text, token } = made(['read'], { expiresAt: Date.now() + 3_600_000 });
  access.setTokens({ tokens: [token], areAny: true });
  const watch = access.watch(bearing(text), 'read');
  assert.equal(watch(), token);
  aheadMs = 3_600_000;
  assert.throws(watch, { code: 'TOKEN_REQUIRED' });
});

test('a watch without a token needs what such a request needs', () => {
  const access = new Access('auto');
  const watch = access.watch(HOST, 'read');
  assert.equal(watch(), undefined);
  access.setToken({ token: made(['read']).token, isValid: true });
  assert.throws(watch, { code: 'TOKEN_REQUIRED', message: /is missing/ });
  for (const headers of [HOST, bearing(newToken())]) {
    assert.throws(() => access.watch(headers, 'read'), { code: 'TOKEN_REQUIRED' });
  }
  const open = new Access(false);
  assert.throws(() => open.watch({ host: 'pool.example' }, 'read'), { code: 'HOST_REFUSED' });
});
