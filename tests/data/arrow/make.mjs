// Writes the .arrow fixtures beside this file with the apache-arrow package for Node (tried with 21.2):
//   npm install apache-arrow && node make.mjs OUTDIR
// The texts are our own. zstd and lz4 are the command line tools. The package (21.2) puts the compressed length before a
// compressed buffer where the format wants the uncompressed one, so that part is done here.
import * as A from 'apache-arrow';
import fs from 'fs';
import { execFileSync } from 'child_process';
import { BufferRegion } from 'apache-arrow/ipc/metadata/message';

const out = process.argv[2] ?? '.';

const id = ['a-1', 'a-2', 'a-3', 'a-4', 'a-5'];
const question = ['What is 1 + 1?', '公司甲发布了什么？', '', 'Name two colours,\nplease: "red" or …', '😀 ok?'];
const answer = ['2', '新产品', null, 'red, blue', ''];

const text = (values, type = new A.Utf8()) => A.vectorFromArray(values, type);
const save = (name, table, kind = 'stream') => fs.writeFileSync(`${out}/${name}`, A.tableToIPC(table, kind));
const batches = (type) => {
  const parts = [[0, 2], [2, 5]].map(([a, b]) => new A.Table({
    id: text(id.slice(a, b), type), question: text(question.slice(a, b), type), answer: text(answer.slice(a, b), type) }));
  return parts[0].concat(parts[1]);
};

save('utf8.arrow', batches(new A.Utf8()));
save('large_utf8.arrow', batches(new A.LargeUtf8()));
{
  // The package leaves the schema message out of a file's stream; the format wants it. So: magic, stream, its footer. (The
  // footer's offsets then miss the schema's size; a reader of the stream does not use them.)
  const file = Buffer.from(A.tableToIPC(batches(new A.Utf8()), 'file'));
  const footer = file.subarray(file.length - 10 - file.readInt32LE(file.length - 10));
  fs.writeFileSync(`${out}/file_format.arrow`,
    Buffer.concat([Buffer.from('ARROW1\0\0'), A.tableToIPC(batches(new A.Utf8()), 'stream'), footer]));
}
save('empty.arrow', new A.Table({ id: text([]), question: text([]), answer: text([]) }));
{
  const writer = new A.RecordBatchStreamWriter({ writeLegacyIpcFormat: true });
  writer.writeAll(batches(new A.Utf8()).batches);
  writer.close();
  fs.writeFileSync(`${out}/legacy.arrow`, writer.toUint8Array(true));
}

// Many types around the wanted columns.
const struct = new A.Struct([new A.Field('x', new A.Int32(), true), new A.Field('s', new A.Utf8(), true)]);
const list = new A.List(new A.Field('item', new A.Utf8(), true));
const fixed = new A.FixedSizeList(2, new A.Field('item', new A.Float32(), true));
const rows = [0, 1, 2, 3, 4];
save('types.arrow', new A.Table({
  flag: A.vectorFromArray([true, false, null, true, false], new A.Bool()),
  tags: A.vectorFromArray(rows.map((i) => (i === 2 ? null : ['t' + i, 'u'])), list),
  question: text(question),
  pair: A.vectorFromArray(rows.map((i) => ({ x: i, s: 's' + i })), struct),
  point: A.vectorFromArray(rows.map((i) => [i, i + 0.5]), fixed),
  i8: A.vectorFromArray([-128, 127, 0, null, 1], new A.Int8()),
  u16: A.vectorFromArray([65535, 1, 2, 3, null], new A.Uint16()),
  i64: A.vectorFromArray([-9007199254740993n, 1n, null, 3n, 9223372036854775807n], new A.Int64()),
  u64: A.vectorFromArray([18446744073709551615n, 0n, 1n, 2n, 3n], new A.Uint64()),
  f16: A.vectorFromArray([1, 0.5, -2, 0, 65504].map((v) => v), new A.Float16()),
  f32: A.vectorFromArray([0.1, 1, -2.5, null, 16777216], new A.Float32()),
  f64: A.vectorFromArray([0.1, 1e-5, 1e16, NaN, null], new A.Float64()),
  day: A.vectorFromArray(rows.map((i) => new Date(86400000 * i)), new A.DateDay()),
  bytes: A.vectorFromArray(rows.map((i) => Uint8Array.of(104, 105, 48 + i)), new A.Binary()),
  four: A.vectorFromArray(rows.map((i) => Uint8Array.of(1, 2, 3, i)), new A.FixedSizeBinary(4)),
  nothing: A.vectorFromArray(rows.map(() => null), new A.Null()),
  answer: text(answer),
  id: text(id),
}));

// Dictionaries: indices of several widths; one that grows (delta) and one that is replaced.
const dict = (index, values = question) => A.vectorFromArray(values, new A.Dictionary(new A.Utf8(), index, 7));
save('dictionary.arrow', new A.Table({
  id: text(id),
  question: dict(new A.Int8()),
  answer: A.vectorFromArray(answer, new A.Dictionary(new A.LargeUtf8(), new A.Uint32(), 9)),
}));
{
  const schema = new A.Schema([new A.Field('label', new A.Dictionary(new A.Utf8(), new A.Int16(), 3), true)]);
  const part = (values) => {
    const v = A.vectorFromArray(values, schema.fields[0].type);
    return new A.RecordBatch(schema, A.makeData({ type: new A.Struct(schema.fields), length: values.length,
      children: [v.data[0]] }));
  };
  const writer = new A.RecordBatchStreamWriter();
  writer.write(part(['up', 'down', null, 'up']));
  writer.write(part(['flat', 'flat', 'up']));
  writer.close();
  fs.writeFileSync(`${out}/dictionary_replaced.arrow`, writer.toUint8Array(true));
}
{
  const type = new A.Dictionary(new A.Utf8(), new A.Int16(), 4);
  const builder = A.makeBuilder({ type, nullValues: [null] });
  const schema = new A.Schema([new A.Field('label', type, true)]);
  const writer = new A.RecordBatchStreamWriter();
  for (const values of [['up', 'down', null], ['flat', 'up'], ['down', 'new']]) {
    for (const v of values) builder.append(v);
    const data = builder.flush();
    writer.write(new A.RecordBatch(schema, A.makeData({ type: new A.Struct(schema.fields), length: values.length,
      children: [data] })));
  }
  writer.close();
  fs.writeFileSync(`${out}/dictionary_delta.arrow`, writer.toUint8Array(true));
}
save('utf8_view.arrow', new A.Table({ id: text(id), question: text(question, new A.Utf8View()),
  answer: text(answer, new A.Utf8View()) }));

// Compressed bodies.
for (const [name, codec, tool] of [['lz4', A.CompressionType.LZ4_FRAME, 'lz4'], ['zstd', A.CompressionType.ZSTD, 'zstd']]) {
  const pack = (bytes) => execFileSync(tool, ['-q', '-c', '-'], { input: bytes });
  const writer = new A.RecordBatchStreamWriter({ compressionType: codec });
  writer._compressBodyBuffers = (buffers) => {
    const parts = [], regions = [];
    let at = 0;
    for (const b of buffers) {
      const raw = new Uint8Array(b.buffer, b.byteOffset, b.byteLength);
      if (raw.length === 0) { parts.push(raw, raw); regions.push(new BufferRegion(at, 0)); continue; }
      const packed = pack(raw), small = packed.length < raw.length, body = small ? new Uint8Array(packed) : raw;
      const prefix = new Uint8Array(8);
      new DataView(prefix.buffer).setBigInt64(0, small ? BigInt(raw.length) : -1n, true);
      parts.push(prefix, body);
      regions.push(new BufferRegion(at, 8 + body.length));
      at = (at + 8 + body.length + 7) & ~7;
    }
    return { byteLength: at, bufferRegions: regions, buffers: parts };
  };
  const long = question.map((q) => q + ' ' + 'one two three '.repeat(6));
  writer.writeAll(new A.Table({ id: text(id), question: text(long), answer: text(answer) }).batches);
  writer.close();
  fs.writeFileSync(`${out}/${name}.arrow`, writer.toUint8Array(true));
}
