/**
 * The examples of docs/http-api.md: every command of its `console` blocks is run as it stands, by bash
 * and curl, against a live server. Only the address of the server is put in, and the variables are set as
 * the document says: `RESERVATION` to a new reservation for each command, `ADDRESS` to an address of the pool
 * in the command, or of `vault`. Replies are validated against the OpenAPI document, and the fields
 * that are shown.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { readOwnToken } from '../../src/service/own-token.ts';
import { type Judge, judgeOf, type OpenApi, type Reply, toldPath } from '../support/documented.ts';
import { blocksOf, type DocumentedCommand, fieldsOf } from '../support/documented-commands.ts';
import { readyAddress } from '../support/http-app.ts';
import { legacyMessage, unsignedLegacy } from '../support/messages.ts';
import { repliesIn } from '../support/raw-connection.ts';
import { EASY_POOL, type Server, Workspace } from '../support/server.ts';

const ENDLESS = /\/v1\/events/;

/** What curl wrote, with the head of the reply; of an endless one the first event. */
async function run(command: string, variables: Record<string, string>, home: string) {
  const env = { PATH: process.env.PATH, CURL_HOME: home, ...variables };
  const child = spawn('bash', ['-c', command], {
    env,
    cwd: home,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    if (ENDLESS.test(command) && Buffer.concat(chunks).includes('data: ')) child.kill();
  });
  await once(child, 'close');
  // curl has put the chunks of the reply together, and reports that there were some.
  const [, file] = / -o (\S+)/.exec(command) ?? [];
  const output = file === undefined ? Buffer.concat(chunks) : readFileSync(join(home, file));
  const text = output.toString('latin1');
  const [reply] = repliesIn(Buffer.from(text.replace(/^Transfer-Encoding/im, 'x'), 'latin1'));
  assert.ok(reply, `${command}: no reply`);
  return reply;
}

function assertAsShown(
  judge: Judge,
  document: OpenApi,
  { command, shown }: DocumentedCommand,
  reply: Reply,
) {
  assert.ok(reply.status < 300, `${command}: ${reply.status}: ${reply.body}`);
  const method = /-X(\w+)/.exec(command)?.[1] ?? 'GET';
  const [, path] = /https?:\/\/[^/]+([^\s"'?]+)/.exec(command)!;
  judge(method, toldPath(document, path!) ?? path!, reply);
  if (shown.startsWith('{')) {
    assert.deepEqual(fieldsOf(JSON.parse(reply.body)), fieldsOf(JSON.parse(shown)), command);
  } else if (shown !== '') {
    const kinds = (text: string) => [...text.matchAll(/^(\w*): /gm)].map(([, kind]) => kind);
    assert.deepEqual(kinds(reply.body), kinds(shown), command);
  }
}

async function post(server: Server, path: string, body?: object) {
  const reply = await server.ask('POST', path, { body });
  assert.ok(reply.status < 300, `${path}: ${reply.status}`);
  return reply.body as { id: string; addresses: { address: string }[] };
}

/** A keypair of the easy pool. */
function importable(): string {
  for (;;) {
    const { address, secret } = readyAddress(1);
    if (address.endsWith(EASY_POOL.suffix)) return secret;
  }
}

test('every command of docs/http-api.md works as shown', async () => {
  const text = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8');
  const examples = blocksOf(text).flat();
  assert.ok(examples.length >= 12, `only ${examples.length} commands were found`);
  await using workspace = new Workspace();
  workspace.configure([
    { ...EASY_POOL, accepts_imports: true },
    { ...EASY_POOL, name: 'vault', handout: 'sign-only' },
  ]);
  writeFileSync(`${workspace.path}/.curlrc`, 'include\nmax-time = 60\n');
  const server = await workspace.serve();
  const document = await server.get<OpenApi>('/openapi.json');
  const judge = judgeOf(document);
  for (const pool of ['pet', 'vault']) await server.until(({ available }) => available > 100, pool);
  const TOKEN = readOwnToken(workspace.data)!;
  const signer = await post(server, '/v1/pools/vault/dispense');
  const ADDRESS = signer.addresses[0]!.address;
  const MESSAGE = Buffer.from(legacyMessage(decodeBase58(ADDRESS), 7)).toString('base64');
  const TRANSACTION = Buffer.from(unsignedLegacy(decodeBase58(ADDRESS), 8)).toString('base64');
  const SECRET_KEY = importable();
  // From the first token that is made every request needs one.
  const isOfTokens = ({ command }: DocumentedCommand) => command.includes('/v1/tokens');
  const { yes = [], no = [] } = Object.groupBy(examples, (one) => (isOfTokens(one) ? 'yes' : 'no'));
  for (const example of [...no, ...yes]) {
    assert.ok(example.command.startsWith('curl '), example.command);
    const RESERVATION = example.command.includes('$RESERVATION')
      ? (await post(server, '/v1/pools/pet/reservations')).id
      : '';
    const command = example.command.replaceAll('http://127.0.0.1:5057', server.url);
    const variables = { TOKEN, ADDRESS, MESSAGE, TRANSACTION, SECRET_KEY, RESERVATION };
    const set = new Set(Object.keys(variables));
    for (const [, name] of command.matchAll(/\$(\w+)/g))
      assert.ok(set.has(name!), `${name}: unset`);
    assertAsShown(judge, document, example, await run(command, variables, workspace.path));
  }
});
