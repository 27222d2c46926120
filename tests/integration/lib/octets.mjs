// Stanzas by hand, for what no client would write: a list of tag, attributes in pairs, perhaps a content.
const text = (value) => Buffer.concat([Buffer.from([0xfc, value.length]), Buffer.from(value)]);
const list = (size) => (size < 256 ? Buffer.from([0xf8, size]) : Buffer.from([0xf9, size >> 8, size & 255]));
export const octets = (value) => Buffer.concat([Buffer.from([0xfe, 0, 0, 0, 0]), value]).fill(
  Buffer.from([value.length >>> 24, value.length >>> 16 & 255, value.length >>> 8 & 255, value.length & 255]), 1, 5);
export function node(tag, attrs = {}, content = undefined) {
  const pairs = Object.entries(attrs).flat();
  const inside = Array.isArray(content) ? Buffer.concat([list(content.length), ...content]) : content;
  return Buffer.concat([list(1 + pairs.length + (inside ? 1 : 0)), text(tag), ...pairs.map(text), inside ?? Buffer.alloc(0)]);
}
// As a frame that is not compressed.
export const plain = (stanza) => Buffer.concat([Buffer.from([0]), stanza]);
