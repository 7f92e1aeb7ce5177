// The kinds of resource there are here, as GET /admin/v1/kinds tells them.
import { signal } from "./dom.js";
import { checked, client, send, session } from "./api.js";

export const kinds = signal(null);
export const plugins = signal([]);
export const enabled = signal(new Set());
const described = new Map();

export async function loadKinds() {
  described.clear();
  kinds.value = (await client()("kinds")).data;
  return kinds.value;
}

export const kindNamed = (name) => kinds.value?.find((it) => it.name === name);

// With schemas of what is written and shown, and `may(action)`: what whoever has signed in may do with some of it. Asked for once.
export function describe(name) {
  if (!described.has(name)) {
    const asked = Promise.all([client()(`kinds/${name}`), client()(`kinds/${name}/allowed`)]).then(([kind, { actions }]) => ({ ...kind, may: (action) => actions.includes(action) }));
    described.set(name, asked.catch((error) => { described.delete(name); throw error; }));
  }
  return described.get(name);
}

// What plugins offer: { providers: [{ name, summary, settings }], … }.
let offered = null;
export function offers() {
  offered ||= client()("plugins").then(({ data }) => {
    enabled.value = new Set(data.map((it) => it.name));
    const found = {};
    for (const plugin of data) for (const it of plugin.brings) (found[it.kind] ||= []).push({ ...it, plugin: plugin.name });
    return found;
  }).catch((error) => { offered = null; throw error; });
  return offered;
}

// api-keys → API keys
export const many = (kind) => { const text = kind.name.replaceAll("-", " ").replace(/\bapi(s?)\b/g, "API$1"); return text.charAt(0).toUpperCase() + text.slice(1); };

// Where a resource has its page.
export const placeOf = (kind, id) => (id === undefined ? ["k", kind] : ["k", kind, id]);

// The names that a client may write in `model`: all ids of callable kinds, found by a word. Whoever may not list those is told
// what they may use.
export async function callables(word, signal, limit = 20) {
  if (session.value.who?.limited) {
    const { data } = await (await checked(await send("v1/models", { signal }))).json();
    return data.filter((it) => it.id.includes(word)).slice(0, limit).map((it) => ({ id: it.id, title: it.owned_by || "" }));
  }
  const wanted = (kinds.value || []).filter((it) => it.callable);
  const api = client(signal);
  const found = await Promise.all(wanted.map((kind) => api(kind.name, { query: { q: word, limit } }).then(({ data }) => data.map((it) => ({ id: it.id, kind: kind.name, title: kind.title, it })), () => [])));
  return found.flat();
}
