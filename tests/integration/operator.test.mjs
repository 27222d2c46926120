// What those who run the gateway have of it: health, readiness, metrics, and a log file that is opened
// anew by SIGHUP.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Rig, eventually } from './lib/rig.mjs';

let rig, user, phone;
before(async () => {
  rig = await Rig.start({ extra: 'log:\n  level: debug\n  file: own.log\n' });
  user = await rig.user('watched');
  phone = await rig.phone();
  await rig.works(user, phone);
});
after(() => rig?.stop());

const file = (name) => path.join(rig.gateway.dir, name);
const lines = (name) => (existsSync(file(name)) ? readFileSync(file(name), 'utf8').trim().split('\n').filter(Boolean) : [])
  .map((line) => JSON.parse(line));

async function get(where) {
  const response = await fetch(`${rig.gateway.operator}${where}`);
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
}

// Something that the gateway logs.
async function linkDown() {
  const link = rig.watch(user);
  await rig.fault('close', user);
  await link.comesBack('CONNECTION_LOST');
}
const downs = (name) => lines(name).filter((l) => l.event === 'link_down').length;

test('/healthz, /readyz and /metrics answer', async () => {
  const health = await get('/healthz');
  assert.deepEqual([health.status, health.type], [200, 'application/json']);
  assert.deepEqual(JSON.parse(health.body), { alive: true, silent_loops: [] });
  const ready = await get('/readyz');
  assert.equal(ready.status, 200);
  assert.deepEqual(JSON.parse(ready.body), { ready: true, checks: [
    { name: 'draining', passed: true, reason: '' }, { name: 'store', passed: true, reason: '' }] });
  const metrics = await get('/metrics');
  assert.equal(metrics.status, 200);
  assert.match(metrics.type, /^text\/plain; version=0\.0\.4/);
  assert.match(metrics.body, /^interop_gateway_links_up 1$/m);
  assert.equal((await get('/')).status, 404);
  assert.equal((await fetch(`${rig.gateway.operator}/healthz`, { method: 'POST' })).status, 405);
});

test('SIGHUP opens the log file anew', async () => {
  await linkDown();
  await eventually(() => downs('own.log') === 1, 'a line in the log');
  renameSync(file('own.log'), file('rotated.log'));
  await linkDown();
  await eventually(() => downs('rotated.log') === 2, 'the old file is written until it is told');
  assert.ok(!existsSync(file('own.log')));

  rig.gateway.child.kill('SIGHUP');
  await eventually(() => existsSync(file('own.log')), 'the new file');
  await linkDown();
  await eventually(() => downs('own.log') === 1, 'a line in the new file');
  assert.equal(downs('rotated.log'), 2);
  await rig.works(user, phone);
});

test('a log file that cannot be opened anew: that is logged in the old one, and nothing else happens', async () => {
  renameSync(file('own.log'), file('rotated-2.log'));
  mkdirSync(file('own.log'));
  const before = downs('rotated-2.log');
  rig.gateway.child.kill('SIGHUP');
  await eventually(() => lines('rotated-2.log').some((l) => l.event === 'log_not_reopened'), 'log_not_reopened');
  await linkDown();
  await eventually(() => downs('rotated-2.log') === before + 1, 'a line in the old file');
  rmdirSync(file('own.log'));
  rig.gateway.child.kill('SIGHUP');
  await eventually(() => existsSync(file('own.log')), 'the new file');
  await linkDown();
  await eventually(() => downs('own.log') === 1, 'a line in the new file');
  await rig.works(user, phone);
});

test('neither log nor metrics name anybody', () => {
  const { log } = rig.gateway;
  rig.gateway.log = () => log.call(rig.gateway) +
    ['rotated.log', 'rotated-2.log', 'own.log'].map((name) => readFileSync(file(name), 'utf8')).join('');
  return rig.checkNothingTold();
});
