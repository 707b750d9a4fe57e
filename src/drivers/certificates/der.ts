/** Reading DER, as far as PKCS#12 and PKCS#7 need it. */

export interface Der {
  tag: number;
  /** Without tag and length. */
  content: Buffer;
  /** With them. */
  whole: Buffer;
}

export const SEQUENCE = 0x30;
export const OCTET_STRING = 0x04;
/** `[0]`, with something in it. */
export const CONTEXT_0 = 0xa0;

/** The values that follow each other in `bytes`. Throws when they are cut, or of a form that DER does not have. */
export function readDer(bytes: Buffer): Der[] {
  const values: Der[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    let length = bytes[at + 1] ?? 0x80;
    let start = at + 2;
    if (length >= 0x80) {
      const size = length & 0x7f;
      if (size === 0 || size > 4 || start + size > bytes.length) throw new Error('It is not valid DER');
      length = bytes.readUIntBE(start, size);
      start += size;
    }
    const end = start + length;
    if ((tag & 0x1f) === 0x1f || end > bytes.length) throw new Error('It is not valid DER');
    values.push({ tag, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return values;
}

/** The values inside one that must be there and have the tag. */
export function children(value: Der | undefined, tag = SEQUENCE): Der[] {
  if (value?.tag !== tag) throw new Error('It does not have the structure that was expected');
  return readDer(value.content);
}

/** The bytes of an OCTET STRING, also of one that is in pieces. */
export function octets(value: Der | undefined): Buffer {
  if (value && (value.tag & 0xdf) === (CONTEXT_0 & 0xdf)) return joined(value);
  if (value?.tag === (OCTET_STRING | 0x20)) return joined(value);
  if (value?.tag === OCTET_STRING) return value.content;
  throw new Error('It does not have the structure that was expected');
}

const joined = (value: Der): Buffer =>
  value.tag & 0x20 ? Buffer.concat(readDer(value.content).map(octets)) : value.content;

/** Such as `1.2.840.113549.1.7.1`. */
export function oid(value: Der | undefined): string {
  if (value?.tag !== 0x06) throw new Error('It does not have the structure that was expected');
  const numbers: number[] = [];
  let number = 0;
  for (const byte of value.content) {
    number = number * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    numbers.push(number);
    number = 0;
  }
  const [first = 0, ...rest] = numbers;
  const root = Math.min(Math.trunc(first / 40), 2);
  return [root, first - root * 40, ...rest].join('.');
}

/** A small one, such as a version or a count of iterations. */
export function integer(value: Der | undefined): number {
  if (value?.tag !== 0x02 || value.content.length === 0 || value.content.length > 4)
    throw new Error('It does not have the structure that was expected');
  return value.content.readIntBE(0, value.content.length);
}
