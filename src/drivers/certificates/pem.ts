/** PEM text: its blocks, one by one. */

/** Those whose label matches, each with its final newline. */
export function splitPem(text: string, label = /^/): string[] {
  return [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----\n?/gs)].flatMap(match =>
    label.test(match[1]!) ? [`${match[0].trim()}\n`] : [],
  );
}

export const CERTIFICATE = /^(X509 |TRUSTED )?CERTIFICATE$/;
export const PKCS7 = /^PKCS7$/;
export const CRL = /^X509 CRL$/;

export const isPem = (bytes: Buffer): boolean => bytes.includes('-----BEGIN ');
