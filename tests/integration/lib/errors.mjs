// What a gRPC error or the end of a stream says, taken apart: code, ErrorInfo, RetryInfo, BadRequest.
import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const types = protoLoader.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto'], {
  includeDirs: [path.join(root, 'proto'), '/usr/include'],
  keepCase: false, longs: Number, defaults: true,
});
const decode = (type, octets) => types[type].deserialize(octets);

// {code, domain, reason, message, retryMs, fields}
export function read(error) {
  const out = { code: status[error.code], message: error.details, retryMs: 0, fields: [] };
  const [octets] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (!octets) return out;
  const about = decode('google.rpc.Status', octets);
  assert.equal(about.code, error.code, 'the code in the details');
  for (const { typeUrl, type_url: url = typeUrl, value } of about.details) {
    const name = url.split('/').pop();
    const detail = decode(name, value);
    if (name === 'google.rpc.ErrorInfo') Object.assign(out, { domain: detail.domain, reason: detail.reason });
    if (name === 'google.rpc.RetryInfo') out.retryMs = milliseconds(detail.retryDelay);
    if (name === 'google.rpc.BadRequest') out.fields = detail.fieldViolations.map((f) => f.field);
  }
  return out;
}

export function milliseconds(duration) {
  return duration ? duration.seconds * 1000 + duration.nanos / 1e6 : 0;
}

// The call must fail so, and say in words what `says` asks for.
export async function refused(call, code, reason, says) {
  const error = await call.then((answer) => assert.fail(`expected ${reason}, got ${JSON.stringify(answer)}`), read);
  expect(error, code, reason, says);
  return error;
}

export function expect(error, code, reason, says) {
  assert.equal(error.reason, reason, `${error.code} ${error.message}`);
  assert.equal(error.code, code);
  assert.equal(error.domain, 'gateway.interop');
  assert.match(error.message, says);
}

// The same for a Problem inside a stream.
export function expectProblem(problem, reason, says) {
  assert.ok(problem, `expected ${reason}, got nothing`);
  assert.equal(problem.reason, reason, problem.message);
  assert.match(problem.message, says);
}
