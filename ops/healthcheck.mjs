/**
 * HEALTHCHECK of the image: exits with 0 if the server of this container answers `/healthz`, else with 1
 * after one line. Where it listens is in `server.json` of its data directory, so that it is asked at
 * any port, with TLS or without. No secret is sent, so its certificate need not be for this name.
 */
import { readFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { urlToHttpOptions } from 'node:url';

const SOCKET = 'unix:';
const PATIENCE_MS = 4_000;

/** The data directory, as the server reads it from its environment. */
function directory({ VANITYPOOL_STORE__DATA, VANITYPOOL_STORE__URL } = process.env) {
  const place = VANITYPOOL_STORE__DATA ?? VANITYPOOL_STORE__URL?.replace(/^file:/, '');
  if (place === undefined) throw new Error('VANITYPOOL_STORE__URL is not set');
  return place;
}

function ask(url) {
  const isTls = url.startsWith('https:');
  const place = url.startsWith(SOCKET)
    ? { socketPath: url.slice(SOCKET.length) }
    : urlToHttpOptions(new URL(url));
  const options = { ...place, path: '/healthz', headers: { host: 'localhost' }, agent: false };
  return new Promise((resolve, reject) => {
    (isTls ? requestHttps : requestHttp)({
      ...options,
      ...(isTls && { rejectUnauthorized: false }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
      .on('response', (reply) => resolve(reply.resume().statusCode))
      .on('error', reject)
      .end();
  });
}

try {
  const { url } = JSON.parse(readFileSync(`${directory()}/server.json`, 'utf8'));
  const status = await ask(url);
  if (status !== 200) throw new Error(`${url}/healthz answered ${status}`);
} catch (error) {
  console.error(`vanitypool: not healthy: ${error.message}`);
  process.exitCode = 1;
}
