// The provider's door to test against. Where GW_API_TARGET ("host:port") is set it is the one there,
// with the PEM files GW_API_CA, GW_API_CERT and GW_API_KEY; else one with scripted users is started.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const source = process.env.GW_SOURCE ?? join(here, '../../..');
const build = process.env.GW_BUILD ?? join(source, 'build/release');

// { target, ca, cert, key, stop() }
export async function startApi() {
  const { GW_API_TARGET: target, GW_API_CA: ca, GW_API_CERT: cert, GW_API_KEY: key } = process.env;
  if (target) return { target, ca, cert, key, stop: async () => {} };

  const folder = mkdtempSync(join(tmpdir(), 'gw-api-'));
  const child = spawn(join(build, 'tests/integration/api_test_server'), [folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const line = await new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error('api_test_server does not start')), 30_000);
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`api_test_server ended with ${code}`)));
    child.stdout.on('data', (chunk) => {
      text += chunk;
      if (!text.includes('\n')) return;
      clearTimeout(timer);
      resolve(text.slice(0, text.indexOf('\n')));
    });
  });
  return {
    target: JSON.parse(line).target,
    ca: join(folder, 'ca.pem'),
    cert: join(folder, 'client.pem'),
    key: join(folder, 'client.key'),
    stop: async () => {
      child.stdin.end();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
