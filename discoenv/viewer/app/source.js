// Where data comes from: the server, or the answers that an exported page carries in itself.

class Source {
  constructor(embedded) {
    this.embedded = embedded;
    this.tags = new Map();
    this.kept = new Map();
  }

  /** Whether an answer can be had at all. */
  has(name, parameters = {}) {
    return !this.embedded || Object.hasOwn(this.embedded, key(name, parameters));
  }

  /** The answer to a request; `null` if it has not changed since the same request was made last. */
  async poll(name, parameters = {}) {
    const address = url(name, parameters);
    if (this.embedded) {
      if (this.tags.has(address)) return null;
      this.tags.set(address, "embedded");
      return this.carried(name, parameters);
    }
    const tag = this.tags.get(address);
    const reply = await fetch(address, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
    if (reply.status === 304) return null;
    const body = await reply.json();
    if (!reply.ok) throw new Error(body.error || reply.statusText);
    this.tags.set(address, reply.headers.get("ETag"));
    return body;
  }

  /** Forget what was polled, so that the next request is answered in full. */
  forget() {
    this.tags.clear();
  }

  /** An answer that never changes; it is kept. */
  async once(name, parameters = {}) {
    const address = url(name, parameters);
    if (this.kept.has(address)) return this.kept.get(address);
    let body;
    if (this.embedded) {
      body = this.carried(name, parameters);
    } else {
      const reply = await fetch(address);
      body = await reply.json();
      if (!reply.ok) throw new Error(body.error || reply.statusText);
    }
    this.kept.set(address, body);
    if (this.kept.size > 400) this.kept.delete(this.kept.keys().next().value);
    return body;
  }

  /** Where a picture of a run is. */
  picture(id, name) {
    return this.embedded ? this.carried("picture", { id, name }) : url("picture", { id, name });
  }

  carried(name, parameters) {
    if (!this.has(name, parameters)) throw new Error("This exported page does not hold that.");
    return this.embedded[key(name, parameters)];
  }
}

function url(name, parameters) {
  return `api/${name}?${new URLSearchParams(parameters)}`;
}

/** An exported page holds one run, from its beginning. */
function key(name, parameters) {
  const { id, after, ...rest } = parameters;
  return [name, ...Object.values(rest)].join("/");
}
