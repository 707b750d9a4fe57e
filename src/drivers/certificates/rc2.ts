/** RC2 in CBC mode, decryption only: OpenSSL before 3.0 encrypted the certificates of bundles so, and OpenSSL 3 cannot. Source: RFC 2268. */

/** A permutation of all bytes, from the digits of pi. */
const PI = Buffer.from(
  'd978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2' +
    '179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82' +
    '54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626' +
    '6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7' +
    '08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec' +
    'c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731' +
    '2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9' +
    '0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad',
  'hex',
);

/** As effective bits the key has its own length, as PKCS#12 wants it. Throws when the padding shows a wrong key. */
export function decryptRc2(key: Buffer, iv: Buffer, sealed: Buffer): Buffer {
  const words = expandKey(key);
  const opened = Buffer.alloc(sealed.length);
  let previous = iv;
  for (let at = 0; at + 8 <= sealed.length; at += 8) {
    const block = sealed.subarray(at, at + 8);
    decryptBlock(words, block).forEach((byte, i) => {
      opened[at + i] = byte ^ previous[i]!;
    });
    previous = block;
  }
  const padding = opened.at(-1) ?? 0;
  if (sealed.length % 8 !== 0 || padding < 1 || padding > 8) throw new Error('bad decrypt');
  return opened.subarray(0, -padding);
}

function expandKey(key: Buffer): Uint16Array {
  const bytes = Buffer.alloc(128);
  key.copy(bytes);
  for (let i = key.length; i < 128; i++) bytes[i] = PI[(bytes[i - 1]! + bytes[i - key.length]!) & 255]!;
  bytes[128 - key.length] = PI[bytes[128 - key.length]!]!;
  for (let i = 127 - key.length; i >= 0; i--) bytes[i] = PI[bytes[i + 1]! ^ bytes[i + key.length]!]!;
  return Uint16Array.from({ length: 64 }, (_, i) => bytes.readUInt16LE(i * 2));
}

const TURNS = [1, 2, 3, 5];

function decryptBlock(key: Uint16Array, block: Buffer): Buffer {
  const r = Uint16Array.from({ length: 4 }, (_, i) => block.readUInt16LE(i * 2));
  const at = (i: number): number => r[i & 3]!;
  for (let round = 15; round >= 0; round--) {
    for (let i = 3; i >= 0; i--) {
      const turned = (at(i) >>> TURNS[i]!) | (at(i) << (16 - TURNS[i]!));
      r[i] = turned - key[round * 4 + i]! - (at(i + 3) & at(i + 2)) - (~at(i + 3) & at(i + 1));
    }
    // Between the groups of five, six and five rounds words are mashed.
    if (round === 11 || round === 5) for (let i = 3; i >= 0; i--) r[i] = at(i) - key[at(i + 3) & 63]!;
  }
  const opened = Buffer.alloc(8);
  r.forEach((word, i) => {
    opened.writeUInt16LE(word, i * 2);
  });
  return opened;
}
