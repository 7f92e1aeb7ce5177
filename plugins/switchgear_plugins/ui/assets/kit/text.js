// Texts to read and copy: code, differences, JSON of any size. All of it is text, never markup.
import { html, useMemo, useRef, useState, useEffect, cx } from "./dom.js";
import { Copy, Button } from "./parts.js";
import { bytes } from "./format.js";

export function Code({ text, label = "Copy code", wrap = false }) {
  return html`<div class="code"><pre class=${wrap ? "wrap" : ""} tabindex="0">${text}</pre><${Copy} text=${text} label=${label} /></div>`;
}

// Several forms of one thing, of which one is shown: { curl: "…", Python: "…" }.
export function Codes({ texts }) {
  const names = Object.keys(texts);
  const [chosen, setChosen] = useState(names[0]);
  const now = names.includes(chosen) ? chosen : names[0];
  return html`<div class="codes">
    <div class="tabs small" role="group" aria-label="Language">${names.map((name) => html`<button type="button" aria-pressed=${name === now} onClick=${() => setChosen(name)}>${name}</button>`)}</div>
    <${Code} text=${texts[now]} />
  </div>`;
}

// ----- difference of two texts, by lines

function lines(a, b) {
  let from = 0;
  while (from < a.length && from < b.length && a[from] === b[from]) from += 1;
  let end = 0;
  while (end < a.length - from && end < b.length - from && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const x = a.slice(from, a.length - end), y = b.slice(from, b.length - end);
  const middle = x.length * y.length > 4_000_000
    ? [...x.map((text) => ["-", text]), ...y.map((text) => ["+", text])]
    : between(x, y);
  return [...a.slice(0, from).map((text) => [" ", text]), ...middle, ...a.slice(a.length - end).map((text) => [" ", text])];
}

function between(x, y) {
  const width = y.length + 1;
  const longest = new Uint32Array((x.length + 1) * width);
  for (let i = x.length - 1; i >= 0; i -= 1) {
    for (let j = y.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = x[i] === y[j] ? longest[(i + 1) * width + j + 1] + 1 : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const found = [];
  let i = 0, j = 0;
  while (i < x.length && j < y.length) {
    if (x[i] === y[j]) { found.push([" ", x[i]]); i += 1; j += 1; }
    else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) { found.push(["-", x[i]]); i += 1; }
    else { found.push(["+", y[j]]); j += 1; }
  }
  return [...found, ...x.slice(i).map((text) => ["-", text]), ...y.slice(j).map((text) => ["+", text])];
}

export function Diff({ before, after }) {
  const found = useMemo(() => lines(before.split("\n"), after.split("\n")), [before, after]);
  if (found.every(([mark]) => mark === " ")) return html`<p class="muted">Nothing differs.</p>`;
  const near = found.map((_, n) => found.slice(Math.max(0, n - 3), n + 4).some(([mark]) => mark !== " "));
  return html`<pre class="diff" tabindex="0">${found.map(([mark, text], n) => near[n]
    ? html`<span class=${mark === "+" ? "added" : mark === "-" ? "taken" : ""}>${mark} ${text}${"\n"}</span>`
    : near[n - 1] || n === 0 ? html`<span class="muted">  ⋯${"\n"}</span>` : null)}</pre>`;
}

export const pretty = (value) => JSON.stringify(value, null, 2);

// ----- JSON of any size: folded and searched by line, of which only those in sight are in the page.

const ROW = 18;
const SMALL = 1000;  // characters that need no search
function fold(value, closed) {
  const rows = [];
  const walk = (it, name, depth, path, last) => {
    const comma = last ? "" : ",";
    const isList = Array.isArray(it);
    if (it === null || typeof it !== "object") {
      rows.push({ depth, name, text: JSON.stringify(it) + comma, tone: it === null ? "null" : typeof it, path });
      return;
    }
    const keys = isList ? null : Object.keys(it);
    const size = isList ? it.length : keys.length;
    const [open, close] = isList ? ["[", "]"] : ["{", "}"];
    if (!size || closed(path, depth, size)) {
      rows.push({ depth, name, text: size ? `${open} ${size} ${isList ? "items" : "members"} ${close}${comma}` : open + close + comma, tone: "fold", path, folds: size > 0, shut: size > 0 });
      return;
    }
    rows.push({ depth, name, text: open, tone: "mark", path, folds: true });
    for (let n = 0; n < size; n += 1) walk(isList ? it[n] : it[keys[n]], isList ? null : keys[n], depth + 1, `${path}/${isList ? n : keys[n]}`, n === size - 1);
    rows.push({ depth, name: null, text: close + comma, tone: "mark", path });
  };
  walk(value, null, 0, "", true);
  return rows;
}

export function JsonView({ value, text, height = 420 }) {
  const box = useRef(null);
  const [top, setTop] = useState(0);
  const [turned, setTurned] = useState(() => new Set());
  const [wanted, setWanted] = useState("");
  const [at, setAt] = useState(0);
  const source = useMemo(() => (text === undefined ? JSON.stringify(value) : text), [value, text]);
  const parsed = useMemo(() => {
    if (text === undefined) return { value };
    try { return { value: JSON.parse(text) }; } catch { return { broken: true }; }
  }, [value, text]);
  const big = source.length > 200_000;
  const rows = useMemo(() => {
    if (parsed.broken) return source.split("\n").map((line) => ({ depth: 0, name: null, text: line.slice(0, 4000), tone: "string", path: "" }));
    const closed = (path, depth, size) => {
      const usual = !wanted && big && depth > 0 && size > 50;
      return turned.has(path) ? !usual : usual;
    };
    return fold(parsed.value, closed);
  }, [parsed, turned, big, wanted !== "", source]);
  const hits = useMemo(() => {
    if (!wanted) return [];
    const word = wanted.toLowerCase();
    const found = [];
    for (let n = 0; n < rows.length && found.length < 5000; n += 1) if (`${rows[n].name ?? ""} ${rows[n].text}`.toLowerCase().includes(word)) found.push(n);
    return found;
  }, [rows, wanted]);
  useEffect(() => { setAt(0); if (hits.length && box.current) box.current.scrollTop = hits[0] * ROW - height / 3; }, [hits]);
  const seek = (step) => {
    if (!hits.length) return;
    const next = (at + step + hits.length) % hits.length;
    setAt(next);
    box.current.scrollTop = hits[next] * ROW - height / 3;
  };
  const first = Math.max(0, Math.floor(top / ROW) - 10);
  const seen = rows.slice(first, first + Math.ceil(height / ROW) + 20);
  const turn = (path) => setTurned((it) => { const next = new Set(it); if (!next.delete(path)) next.add(path); return next; });
  const small = source.length <= SMALL && !wanted;
  return html`<div class=${cx("json", small && "small")}>
    ${small ? html`<${Copy} text=${source} label="Copy all" />` : html`<div class="bar">
      <input class="small" type="search" placeholder="Find in this" aria-label="Find in this" value=${wanted} onInput=${(event) => setWanted(event.target.value)}
        onKeyDown=${(event) => { if (event.key === "Enter") { event.preventDefault(); seek(event.shiftKey ? -1 : 1); } }} />
      ${wanted && html`<span class="muted">${hits.length ? `${at + 1} of ${hits.length}` : "nothing found"}</span>`}
      <span class="grow"></span><span class="muted">${bytes(source.length)}, ${rows.length.toLocaleString("en-US")} lines</span><${Copy} text=${source} label="Copy all" />
    </div>`}
    <div class="json-box" ref=${box} style=${{ maxHeight: `${height}px` }} tabindex="0" role="group" aria-label="JSON" onScroll=${(event) => setTop(event.target.scrollTop)}>
      <div style=${{ height: `${rows.length * ROW}px`, position: "relative" }}>
        ${seen.map((row, n) => {
          const line = first + n;
          const long = row.text.length > 400;
          return html`<div class=${cx("json-row", hits[at] === line && "hit")} key=${line} style=${{ top: `${line * ROW}px`, paddingLeft: `${row.depth * 14 + 14}px` }}>
            ${row.folds && html`<button type="button" class="fold" aria-label=${row.shut ? "Unfold" : "Fold"} onClick=${() => turn(row.path)}>${row.shut ? "▸" : "▾"}</button>`}
            ${row.name !== null && html`<span class="json-name">${row.name}</span>`}${row.name !== null ? ": " : ""}<span class=${`json-${row.tone}`} title=${long ? row.text.slice(0, 4000) : undefined}>${long ? `${row.text.slice(0, 400)}…` : row.text}</span>
          </div>`;
        })}
      </div>
    </div>
  </div>`;
}

// A text that may be long: its beginning, and the rest when asked for.
export function Long({ text, most = 600 }) {
  const [all, setAll] = useState(false);
  if (text.length <= most) return html`<span class="wrap">${text}</span>`;
  return html`<span class="wrap">${all ? text.slice(0, 200_000) : `${text.slice(0, most)}…`} <${Button} kind="link" onClick=${() => setAll(!all)}>${all ? "less" : `all ${text.length.toLocaleString("en-US")} characters`}<//></span>`;
}
