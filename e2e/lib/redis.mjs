import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until, within } from './wait.mjs';

/** A Redis of its own that a test can stop, pause and misconfigure. */
export class Redis {
  static async start(port = 0) {
    if (!port) {
      const probe = net.createServer().listen(0, '127.0.0.1');
      await once(probe, 'listening');
      port = probe.address().port;
      probe.close();
    }
    const redis = new Redis();
    redis.folder = await mkdtemp(join(tmpdir(), 'rollcall-e2e-'));
    redis.port = port;
    await redis.run();
    return redis;
  }

  async run() {
    const options = ['--bind', '127.0.0.1', '--port', this.port, '--dir', this.folder, '--save', '', '--appendonly', 'no'];
    this.process = spawn('redis-server', options, { stdio: 'ignore' });
    await until(() => this.command('PING').then((answer) => answer === 'PONG', () => false), 'Redis to start');
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  async command(...words) {
    const socket = net.connect(this.port, '127.0.0.1');
    socket.setEncoding('utf8');
    socket.write(`${words.join(' ')}\r\n`);
    try {
      const [answer] = await within(once(socket, 'data'), 'Redis to answer');
      if (answer.startsWith('-')) throw new Error(answer);
      return answer.slice(1).trim();
    } finally {
      socket.destroy();
    }
  }

  async stop() {
    this.process.kill('SIGKILL');
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'exit');
  }

  async remove() {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
