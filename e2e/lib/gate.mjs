import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A proxy of the database's socket that can be closed, as when the server stops. */
export class Gate {
  static async open(target) {
    const gate = new Gate();
    gate.folder = await mkdtemp(join(tmpdir(), 'rollcall-e2e-'));
    gate.path = join(gate.folder, 'sock');
    gate.target = target;
    await gate.reopen();
    return gate;
  }

  /** Opens it unless it is open. */
  async reopen() {
    if (this.server?.listening) return;
    this.sockets = new Set();
    this.server = net.createServer((client) => {
      const there = net.connect(this.target);
      for (const [from, to] of [[client, there], [there, client]]) {
        this.sockets.add(from);
        from.on('error', () => {});
        from.on('close', () => {
          this.sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
    this.server.listen(this.path);
    await once(this.server, 'listening');
  }

  async close() {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  async remove() {
    if (this.server.listening) await this.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
