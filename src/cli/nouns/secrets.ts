/** `ottavia secret …` and `ottavia container …`: what listeners refer to as certificates, in the key manager. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { basename } from 'node:path';
import { CliError } from '../cli-error.ts';
import type { Client } from '../client.ts';
import { addOptions, printOne, readInput, runAndPrint } from '../command.ts';
import { NAME, noun, option } from '../noun.ts';

const group = 'The cloud around them:';
const FILTER = { ...NAME, on: 'list' };
const TYPES = ['opaque', 'certificate', 'private', 'public', 'passphrase', 'symmetric'];

const secret = noun('secret', group, 'Secrets: certificates and keys', {
  verbs: 'list show delete',
  options: [FILTER],
  columns: 'secret_ref name secret_type status expiration',
  extend(command, context) {
    const store = command
      .command('store')
      .alias('create')
      .description('Store the content of a file, such as a PKCS12 bundle or a PEM certificate')
      .requiredOption('--file <file>', 'What is stored')
      .option('--name <name>', "Its name (the file's unless told)");
    addOptions(store, [
      option('--type <type>', 'What it is (opaque unless told)', 'create', { choices: TYPES }),
    ]);
    runAndPrint(store, async (_, given) => {
      const content = readInput(context, given.file!);
      const name = String(given.name ?? basename(given.file!));
      const secret_type = String(given.type ?? 'opaque');
      const secret_ref = await storeSecret(context.connect(), name, secret_type, content);
      printOne(context, { secret_ref, name, secret_type }, given);
    });

    const bundle = command
      .command('bundle')
      .description('Store a certificate with its key, and print the reference to give to a listener')
      .requiredOption('--cert <file>', 'The certificate, PEM')
      .requiredOption('--key <file>', 'Its private key, PEM')
      .option('--chain <file>', 'The certificates between it and its authority, PEM')
      .option('--passphrase <text>', 'Of the key')
      .option('--name <name>', "Its name (the certificate's file's unless told)");
    runAndPrint(bundle, async (_, given) => {
      const files = { cert: String(given.cert), key: String(given.key), chain: given.chain as string };
      const passphrase = given.passphrase as string | undefined;
      const certificate = readInput(context, files.cert);
      const key = readInput(context, files.key);
      const facts = checkPair(files, certificate, key, passphrase);
      const parts: [part: string, type: string, content: Buffer][] = [
        ['certificate', 'certificate', certificate],
        ['private_key', 'private', key],
      ];
      if (files.chain) parts.push(['intermediates', 'certificate', readInput(context, files.chain)]);
      if (passphrase) parts.push(['private_key_passphrase', 'passphrase', Buffer.from(passphrase)]);
      const name = String(given.name ?? basename(files.cert));
      printOne(context, { ...(await storeBundle(context.connect(), name, parts)), name, ...facts }, given);
    });
  },
});

const container = noun('container', group, 'Containers: secrets that belong together', {
  verbs: 'list show delete',
  options: [FILTER],
  columns: 'container_ref name type status',
});

export const secretNouns = [secret, container];

/** Text goes as it is, all else in base64. Source: Barbican API, `payload_content_type`. */
async function storeSecret(client: Client, name: string, type: string, content: Buffer): Promise<string> {
  const isText = !content.includes(0) && Buffer.from(content.toString('utf8')).equals(content);
  const payload = isText
    ? { payload: content.toString('utf8'), payload_content_type: 'text/plain' }
    : {
        ...{ payload: content.toString('base64'), payload_content_encoding: 'base64' },
        payload_content_type: 'application/octet-stream',
      };
  const body = { name, secret_type: type, ...payload };
  const { secret_ref } = (await client.request('POST', 'key-manager/secrets', body)) as {
    secret_ref: string;
  };
  return secret_ref;
}

/** All of it or nothing: what was stored before something failed is taken away again. */
async function storeBundle(client: Client, name: string, parts: readonly [string, string, Buffer][]) {
  const secret_refs: { name: string; secret_ref: string }[] = [];
  try {
    for (const [part, type, content] of parts)
      secret_refs.push({
        name: part,
        secret_ref: await storeSecret(client, `${name} ${part}`, type, content),
      });
    const body = { name, type: 'certificate', secret_refs };
    return (await client.request('POST', 'key-manager/containers', body)) as { container_ref: string };
  } catch (error) {
    // What cannot be taken away is not what the user must hear of: the first failure is.
    await Promise.allSettled(
      secret_refs.map(({ secret_ref }) =>
        client.request('DELETE', `key-manager/secrets/${secret_ref.split('/').at(-1)}`),
      ),
    );
    throw error;
  }
}

/** What the certificate says of itself; throws when the key is another's. */
function checkPair(
  files: { cert: string; key: string },
  certificate: Buffer,
  key: Buffer,
  passphrase: string | undefined,
) {
  const read = <T>(file: string, parse: () => T): T => {
    try {
      return parse();
    } catch (cause) {
      throw new CliError(`Cannot read ${file}: ${(cause as Error).message}; it must be PEM`, { cause });
    }
  };
  const parsed = read(files.cert, () => new X509Certificate(certificate));
  const privateKey = read(files.key, () => createPrivateKey({ key, passphrase }));
  if (!parsed.checkPrivateKey(privateKey))
    throw new CliError(`Cannot bundle ${files.cert} with ${files.key}: the key is not the certificate's`);
  return { subject: parsed.subject, expires: parsed.validTo };
}
