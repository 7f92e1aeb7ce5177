// Addresses: #/place/below?filter=value. All state that a view has is in its address, so that it can be sent to somebody.
import { signal } from "./dom.js";

function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  return { parts, query: Object.fromEntries(new URLSearchParams(query)) };
}

export const place = signal(read());

// Who is to know of the next address before anything is drawn for it: a page that is left ends first.
export const before = new Set();
addEventListener("hashchange", () => {
  const next = read();
  for (const tell of before) tell(next);
  place.value = next;
});

export function href(parts, query) {
  const path = (Array.isArray(parts) ? parts : [parts]).map(encodeURIComponent).join("/");
  const pairs = Object.entries(query || {}).filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  return `#/${path}${pairs.length ? `?${new URLSearchParams(pairs)}` : ""}`;
}

export function go(parts, query) {
  location.hash = href(parts, query);
}

// Lays over the query of this address; what is empty is taken out. It is no step to come back to.
export function setQuery(changes) {
  const to = href(place.value.parts, { ...place.value.query, ...changes });
  if (to === location.hash) return;
  history.replaceState(null, "", to);
  place.value = read();
}

// A question that is asked before this view is left, while something is unsaved.
export const leaving = { ask: null };
addEventListener("beforeunload", (event) => { if (leaving.ask?.()) event.preventDefault(); });
