/**
 * Self-signed certificates for tests, made on the spot, with any name and any time: Node.js makes keys
 * and signatures, and the little of X.509 around them is written here (RFC 5280, in DER).
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface Made {
  readonly cert: string;
  readonly key: string;
}

interface Wanted {
  readonly validTo?: Date;
  /** With a key of RSA instead of an elliptic curve. */
  readonly isRsa?: boolean;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const OBJECT_ID = 0x06;
const UTF8 = 0x0c;
const GENERALIZED_TIME = 0x18;
const BITS = 0x03;
const OCTETS = 0x04;
const NULL = 0x05;
const INTEGER = 0x02;
/** Tags of their places in a certificate. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

const ECDSA_WITH_SHA256 = Buffer.from('2a8648ce3d040302', 'hex');
const RSA_WITH_SHA256 = Buffer.from('2a864886f70d01010b', 'hex');
const COMMON_NAME = Buffer.from('550403', 'hex');
const SUBJECT_ALT_NAME = Buffer.from('551d11', 'hex');
const VERSION_3 = Buffer.from([2]);
const DAY_MS = 86_400_000;

/** For `localhost`, 127.0.0.1 and 127.0.0.2, with `name` as its common name. */
export function makeCertificate(
  name: string,
  { validTo = new Date(Date.now() + 3650 * DAY_MS), isRsa = false }: Wanted = {},
): Made {
  const { privateKey, publicKey } = isRsa
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = isRsa
    ? der(SEQUENCE, der(OBJECT_ID, RSA_WITH_SHA256), der(NULL))
    : der(SEQUENCE, der(OBJECT_ID, ECDSA_WITH_SHA256));
  const commonName = der(SEQUENCE, der(OBJECT_ID, COMMON_NAME), der(UTF8, Buffer.from(name)));
  const subject = der(SEQUENCE, der(SET, commonName));
  const names = der(
    SEQUENCE,
    der(DNS_NAME, Buffer.from('localhost')),
    der(IP_ADDRESS, Buffer.from([127, 0, 0, 1])),
    der(IP_ADDRESS, Buffer.from([127, 0, 0, 2])),
  );
  const extension = der(SEQUENCE, der(OBJECT_ID, SUBJECT_ALT_NAME), der(OCTETS, names));
  const body = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, VERSION_3)),
    der(INTEGER, Buffer.from([1])),
    algorithm,
    subject,
    der(SEQUENCE, time(new Date(validTo.getTime() - 7300 * DAY_MS)), time(validTo)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(EXTENSIONS, der(SEQUENCE, extension)),
  );
  const signature = der(BITS, Buffer.from([0]), sign('sha256', body, privateKey));
  return { cert: pem(der(SEQUENCE, body, algorithm, signature)), key: pemOf(privateKey) };
}

/** Tag, length, value: lengths from 128 on are in as many bytes as they take. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  if (value.length < 0x80) return Buffer.concat([Buffer.from([tag, value.length]), value]);
  const length = Buffer.from([value.length >> 8, value.length & 0xff]);
  return Buffer.concat([Buffer.from([tag, 0x82]), length, value]);
}

function time(date: Date): Buffer {
  const text = `${date.toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`;
  return der(GENERALIZED_TIME, Buffer.from(text));
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g)!;
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
