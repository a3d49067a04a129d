// Adapters for node-oidc-provider that are written for this comparison.

import { DatabaseSync } from 'node:sqlite';

/** Models whose rows end with their grant. */
const GRANTABLE = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode']);

/** What `adapter` of the provider's configuration is to be; `undefined` is its own. */
export function adapterNamed(kind, file) {
  if (kind === 'memory') return undefined;
  if (kind === 'map') return MapAdapter;
  if (kind === 'sqlite') return sqliteAdapter(file);
  throw new Error(`expected memory, map or sqlite, found ${kind}`);
}

/** Rows in plain maps without a bound: what a memory adapter costs at the least. */
class MapAdapter {
  static #rows = new Map();
  static #byUid = new Map();
  static #byGrant = new Map();
  #model;

  constructor(model) {
    this.#model = model;
  }

  #key(id) {
    return `${this.#model}:${id}`;
  }

  async upsert(id, payload) {
    const key = this.#key(id);
    MapAdapter.#rows.set(key, payload);
    if (payload.uid) MapAdapter.#byUid.set(payload.uid, key);
    if (GRANTABLE.has(this.#model) && payload.grantId) {
      const keys = MapAdapter.#byGrant.get(payload.grantId);
      if (keys) keys.add(key);
      else MapAdapter.#byGrant.set(payload.grantId, new Set([key]));
    }
  }

  async find(id) {
    return MapAdapter.#rows.get(this.#key(id));
  }

  async findByUid(uid) {
    return MapAdapter.#rows.get(MapAdapter.#byUid.get(uid));
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    MapAdapter.#rows.get(this.#key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    MapAdapter.#rows.delete(this.#key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of MapAdapter.#byGrant.get(grantId) ?? []) MapAdapter.#rows.delete(key);
    MapAdapter.#byGrant.delete(grantId);
  }
}

/** Rows in one SQLite file; every statement is durable before it returns. */
function sqliteAdapter(file) {
  const database = new DatabaseSync(file);
  database.exec('PRAGMA journal_mode = WAL');
  database.exec('PRAGMA synchronous = FULL');
  database.exec(`CREATE TABLE rows (
    key TEXT PRIMARY KEY, payload TEXT NOT NULL, grant_id TEXT, uid TEXT, consumed INTEGER, expires_at INTEGER
  ) WITHOUT ROWID`);
  database.exec('CREATE INDEX by_grant ON rows (grant_id) WHERE grant_id IS NOT NULL');
  database.exec('CREATE INDEX by_uid ON rows (uid) WHERE uid IS NOT NULL');
  const put = database.prepare(`INSERT INTO rows VALUES (?, ?, ?, ?, NULL, ?)
    ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at`);
  const get = database.prepare('SELECT payload, consumed, expires_at FROM rows WHERE key = ?');
  const getByUid = database.prepare('SELECT payload, consumed, expires_at FROM rows WHERE uid = ?');
  const spend = database.prepare('UPDATE rows SET consumed = ? WHERE key = ?');
  const remove = database.prepare('DELETE FROM rows WHERE key = ?');
  const removeOfGrant = database.prepare('DELETE FROM rows WHERE grant_id = ?');
  const now = () => Math.floor(Date.now() / 1000);
  const read = (row) => {
    if (!row || (row.expires_at !== null && row.expires_at < now())) return undefined;
    return { ...JSON.parse(row.payload), ...(row.consumed ? { consumed: row.consumed } : undefined) };
  };

  return class SqliteAdapter {
    #model;

    constructor(model) {
      this.#model = model;
    }

    #key(id) {
      return `${this.#model}:${id}`;
    }

    async upsert(id, payload, expiresIn) {
      const grant = GRANTABLE.has(this.#model) ? (payload.grantId ?? null) : null;
      const ends = expiresIn ? now() + expiresIn : null;
      put.run(this.#key(id), JSON.stringify(payload), grant, payload.uid ?? null, ends);
    }

    async find(id) {
      return read(get.get(this.#key(id)));
    }

    async findByUid(uid) {
      return read(getByUid.get(uid));
    }

    async findByUserCode() {
      return undefined;
    }

    async consume(id) {
      spend.run(now(), this.#key(id));
    }

    async destroy(id) {
      remove.run(this.#key(id));
    }

    async revokeByGrantId(grantId) {
      removeOfGrant.run(grantId);
    }
  };
}
