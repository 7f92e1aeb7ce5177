// A field that takes a name of something: what fits is looked for while one types. Anything may be written, as names to come may be.
import { html, useEffect, useRef, useState, useId } from "./dom.js";
import { client } from "./api.js";
import { callables } from "./kinds.js";

export function Picker({ id, value, onChange, find, placeholder, describedBy, onKeyDown, strict = false, label }) {
  const [open, setOpen] = useState(false);
  const [found, setFound] = useState([]);
  const [at, setAt] = useState(-1);
  const list = useId();
  const ending = useRef(null);
  const look = (word) => {
    ending.current?.abort();
    const own = (ending.current = new AbortController());
    const timer = setTimeout(async () => {
      try {
        const all = await find(word, own.signal);
        if (!own.signal.aborted) { setFound(all.slice(0, 50)); setAt(-1); }
      } catch { if (!own.signal.aborted) setFound([]); }
    }, 120);
    own.signal.addEventListener("abort", () => clearTimeout(timer));
  };
  useEffect(() => () => ending.current?.abort(), []);
  const take = (it) => { onChange(it.id); setOpen(false); };
  const key = (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) { setOpen(true); look(""); }
      setAt((it) => Math.max(-1, Math.min(found.length - 1, it + (event.key === "ArrowDown" ? 1 : -1))));
    } else if (event.key === "Enter" && open && found[at]) { event.preventDefault(); take(found[at]); }
    else if (event.key === "Escape" && open) { event.stopPropagation(); event.preventDefault(); setOpen(false); }
    else onKeyDown?.(event);
  };
  return html`<span class="picker">
    <input id=${id} role="combobox" aria-expanded=${open && found.length > 0} aria-controls=${list} aria-autocomplete="list" aria-label=${label} aria-activedescendant=${at >= 0 ? `${list}-${at}` : undefined}
      autocomplete="off" spellcheck=${false} value=${value ?? ""} placeholder=${placeholder} aria-describedby=${describedBy}
      onInput=${(event) => { onChange(event.target.value); setOpen(true); look(event.target.value); }}
      onFocus=${() => { setOpen(true); look(strict ? "" : value || ""); }} onClick=${() => setOpen(true)}
      onBlur=${() => setTimeout(() => setOpen(false), 150)} onKeyDown=${key} />
    ${open && found.length > 0 && html`<ul class="picker-list" role="listbox" id=${list} aria-label="Matches">${found.map((it, n) => html`
      <li role="option" id=${`${list}-${n}`} aria-selected=${n === at} onMouseDown=${(event) => { event.preventDefault(); take(it); }}>
        <span>${it.id}</span><span class="muted">${it.title || ""}</span></li>`)}</ul>`}
  </span>`;
}

// Finds resources of a kind; `callable` stands for all whose ids are names of models.
export const findIn = (kind) => async (word, signal) => {
  if (kind === "callable") return callables(word, signal);
  const { data } = await client(signal)(kind, { query: { q: word, limit: 20 } });
  return data.map((it) => ({ id: it.id, title: it.name || it.title || it.type || "" }));
};

export const findAmong = (choices) => async (word) => {
  const wanted = word.toLowerCase();
  return choices.filter((it) => !wanted || it.id.toLowerCase().includes(wanted) || (it.title || "").toLowerCase().includes(wanted));
};
