// Ctrl-K and /: to any page, resource or request.
import { html, signal, useEffect, useMemo, useState } from "./kit/dom.js";
import { client } from "./kit/api.js";
import { go } from "./kit/router.js";
import { placeOf } from "./kit/kinds.js";
import { Dialog } from "./kit/parts.js";

export const palette = signal(null);

const REQUEST = /^[0-9a-f]{32}$/;
const DAY_US = 86_400_000_000;

// The moment that an id of a request was made at stands in its beginning, so only a little has to be looked through.
function around(id) {
  const at = parseInt(id.slice(0, 12), 16) * 1000;
  return at > 1e14 && at < 1e17 ? { since: at - 3600e6, until: at + 3600e6 } : {};
}

async function requests(api, word) {
  if (REQUEST.test(word)) {
    const { data } = await api("usage", { query: { request_id: word, ...around(word), limit: 1 } });
    if (data.length) return data;
  }
  const since = Date.now() * 1000 - 30 * DAY_US;
  for (const name of ["client_request_id", "upstream_request_id", "request_id", "user_id"]) {
    const { data } = await api("usage", { query: { [name]: word, since, limit: 1 } });
    if (data.length) return name === "user_id" ? [{ ...data[0], user: word }] : data;
  }
  return [];
}

export function Palette({ entries }) {
  const [word, setWord] = useState("");
  const [found, setFound] = useState([]);
  const [at, setAt] = useState(0);
  const [busy, setBusy] = useState(false);
  const close = () => { palette.value = null; };
  const pages = useMemo(() => entries.flatMap(([group, all]) => all.map((it) => ({ title: it.title, note: group || "Page", to: it.to }))), [entries]);
  const fitting = useMemo(() => {
    const wanted = word.toLowerCase().trim();
    return pages.filter((it) => !wanted || it.title.toLowerCase().includes(wanted));
  }, [pages, word]);
  useEffect(() => {
    setAt(0);
    const wanted = word.trim();
    if (wanted.length < 2) { setFound([]); setBusy(false); return undefined; }
    const ending = new AbortController();
    const api = client(ending.signal);
    setBusy(true);
    const timer = setTimeout(async () => {
      const inKinds = api("search", { query: { q: wanted, limit: 12 } }).then(
        ({ data }) => data.map((it) => ({ title: it.id, note: it.title + (it.name ? `: ${it.name}` : ""), to: placeOf(it.kind, it.id) })), () => []);
      const logged = wanted.length >= 8 ? requests(api, wanted).then((all) => all.map((it) => (it.user
        ? { title: it.user, note: "requests of this user", to: ["requests"], query: { user_id: it.user } }
        : { title: it.request_id, note: `request for ${it.model}, ${it.outcome}`, to: ["requests"], query: { request: it.id, since: it.at_us - 1e6, until: it.at_us + 1e6 } })), () => []) : [];
      setFound(await inKinds);
      const more = await logged;
      if (!ending.signal.aborted) { setFound([...(await inKinds), ...more]); setBusy(false); }
    }, 150);
    return () => { clearTimeout(timer); ending.abort(); };
  }, [word]);
  const all = [...found, ...fitting].slice(0, 40);
  const take = (it) => { close(); go(it.to, it.query); };
  const key = (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); setAt((n) => Math.max(0, Math.min(all.length - 1, n + (event.key === "ArrowDown" ? 1 : -1)))); }
    else if (event.key === "Enter" && all[at]) { event.preventDefault(); take(all[at]); }
  };
  return html`<${Dialog} title="Find" onClose=${close}>
    <input class="palette-input" autofocus role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant=${all[at] ? `palette-${at}` : undefined} aria-label="Find a page, a resource or a request"
      placeholder="A page, a name, or any id: request, key, user, the provider's own" value=${word} onInput=${(event) => setWord(event.target.value)} onKeyDown=${key} />
    <ul class="palette-list" id="palette-list" role="listbox" aria-label="Found">${all.map((it, n) => html`
      <li key=${it.to.join("/") + n} id=${`palette-${n}`} role="option" aria-selected=${n === at} onMouseMove=${() => setAt(n)} onClick=${() => take(it)}><span class="grow">${it.title}</span><span class="muted">${it.note}</span></li>`)}</ul>
    <p class="muted" role="status">${busy ? "Looking…" : !all.length ? "Nothing has this name or id." : "↑ ↓ to choose, Enter to open, Esc to leave"}</p>
  <//>`;
}
