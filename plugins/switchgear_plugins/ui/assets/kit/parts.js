// Small parts that every page is made of.
import { html, Component, Fragment, useEffect, useLayoutEffect, useRef, useState, useId, signal, cx } from "./dom.js";
import { isAbort } from "./api.js";
import { href, place, setQuery } from "./router.js";

export function Button({ kind = "", busy = false, disabled = false, children, type = "button", ...rest }) {
  return html`<button type=${type} class=${cx("button", kind)} disabled=${busy || disabled} aria-busy=${busy || undefined} ...${rest}>${children}</button>`;
}

export function Link({ to, query, children, ...rest }) {
  return html`<a href=${href(to, query)} ...${rest}>${children}</a>`;
}

const MARKS = { good: "●", warn: "▲", bad: "■", idle: "○", busy: "◐" };
const MEANING = {
  ok: "good", good: "good", active: "good", complete: "good", closed: "good", serving: "good", enabled: "good", sent: "good", succeeded: "good", completed: "good", passed: "good", delivered: "good", done: "good",
  degraded: "warn", failing: "warn", cooling: "warn", half_open: "warn", suspended: "warn", forbidden: "warn", partial: "warn", client_closed: "warn", cancelled: "warn", canceled: "warn",
  error: "bad", failed: "bad", open: "bad", refused: "bad", unavailable: "bad", revoked: "bad", expired: "bad", rejected: "bad", broken: "bad", incomplete: "bad", dead: "bad",
  unused: "idle", disabled: "idle", draining: "busy", running: "busy", waiting: "busy", pending: "busy",
};
// A state by word and shape as well as colour.
export function Status({ value, as, children }) {
  const word = String(value ?? "unknown");
  const tone = as || MEANING[word.toLowerCase()] || "idle";
  return html`<span class=${`status ${tone}`}><span aria-hidden="true">${MARKS[tone]}</span> ${children || word.replaceAll("_", " ")}</span>`;
}

export const Tag = ({ children }) => html`<span class="tag">${children}</span>`;

export function Copy({ text, label = "Copy", children }) {
  const [done, setDone] = useState(false);
  const copy = async (event) => {
    event.stopPropagation();
    event.preventDefault();
    await copyText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1200);
  };
  return html`<button type="button" class="copy" onClick=${copy} aria-label=${`${label}: ${String(text).slice(0, 60)}`} title=${label}>${children || (done ? "Copied" : "Copy")}</button>`;
}

export async function copyText(text) {
  if (navigator.clipboard && isSecureContext) {
    try { return await navigator.clipboard.writeText(text); } catch { /* not allowed: the old way */ }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  return undefined;
}

// An id that can be copied, and leads somewhere if `to` says where.
export function Id({ value, to }) {
  if (!value) return html`<span class="muted">–</span>`;
  return html`<span class="id">${to ? html`<a href=${href(to)} title=${value}>${value}</a>` : html`<span title=${value}>${value}</span>`}<${Copy} text=${value}>⧉<//></span>`;
}

// ----- toasts

export const toasts = signal([]);
let counted = 0;
export function toast(text, { tone = "good", action, label = "Undo", keep = 6000 } = {}) {
  const it = { key: ++counted, text, tone, action, label };
  toasts.value = [...toasts.value.slice(-3), it];
  if (keep) setTimeout(() => untoast(it.key), action ? Math.max(keep, 10_000) : keep);
  return it.key;
}
export const untoast = (key) => { toasts.value = toasts.value.filter((it) => it.key !== key); };
export function complain(error) {
  if (!isAbort(error)) toast(error?.message || String(error), { tone: "bad", keep: 12_000 });
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">${toasts.value.map((it) => html`
    <div class=${`toast ${it.tone}`} key=${it.key}>
      <span aria-hidden="true">${MARKS[it.tone]}</span><span class="grow">${it.text}</span>
      ${it.action && html`<button type="button" class="link" onClick=${() => { untoast(it.key); it.action(); }}>${it.label}</button>`}
      <button type="button" class="link" aria-label="Dismiss" onClick=${() => untoast(it.key)}>✕</button>
    </div>`)}</div>`;
}

// ----- errors and emptiness

export class ErrorBoundary extends Component {
  constructor() { super(); this.state = { error: null }; }
  componentDidCatch(error) { console.error(error); this.setState({ error }); }
  render({ children }, { error }) {
    if (!error) return children;
    return html`<${Trouble} error=${error} again=${() => this.setState({ error: null })} what="This page broke; the others are well." />`;
  }
}

// What went wrong and what to do.
export function Trouble({ error, again, what }) {
  if (!error || isAbort(error)) return null;
  const hint = error.status === 403 ? "Your role does not reach this. Whoever administers the gateway can widen it."
    : error.status === 401 ? "Sign in again." : null;
  return html`<div class="trouble" role="alert">
    <p><${Status} value="error" as="bad">${what || error.message}<//></p>
    ${what && html`<p class="muted">${error.message}</p>`}
    ${hint && html`<p>${hint}</p>`}
    ${error.errors?.length ? html`<ul>${error.errors.map((it) => html`<li><code>${it.pointer || "/"}</code> ${it.detail}</li>`)}</ul>` : null}
    ${error.requestId && html`<p class="muted">Request <${Id} value=${error.requestId} /></p>`}
    ${again && html`<${Button} onClick=${again}>Try again<//>`}
  </div>`;
}

// Prose in which `names` are code, as docstrings have them.
export const Prose = ({ text }) => text.split(/`([^`\n]+)`/).map((it, n) => (n % 2 ? html`<code>${it}</code>` : it));

// Every empty page teaches its first step.
export function Empty({ title, children, action }) {
  return html`<div class="empty"><h2>${title}</h2><div class="muted">${children}</div>${action && html`<p>${action}</p>`}</div>`;
}

export const Skeleton = ({ lines = 6 }) => html`<div class="skeleton" role="status" aria-busy="true" aria-label="Loading">${Array.from({ length: lines }, (_, n) => html`<i style=${{ width: `${90 - ((n * 17) % 45)}%` }}></i>`)}</div>`;

// ----- loading: what was there stays while the next comes; what is left behind is cancelled; what takes long says so.

const SLOW_MS = 3000;
export const stopped = () => new Error("You stopped it before an answer came.");

export function Slow({ stop }) {
  const [isSlow, setSlow] = useState(false);
  useEffect(() => { const timer = setTimeout(() => setSlow(true), SLOW_MS); return () => clearTimeout(timer); }, []);
  return isSlow && html`<p class="bar muted" role="status">This takes long. <${Button} kind="small" onClick=${stop}>Stop<//></p>`;
}

export function useLoad(load, deps) {
  const [state, setState] = useState({ data: undefined, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  const running = useRef(null);
  useEffect(() => {
    const ending = running.current = new AbortController();
    setState((it) => ({ ...it, loading: true }));
    Promise.resolve(load(ending.signal)).then(
      (data) => { if (!ending.signal.aborted) setState({ data, error: null, loading: false }); },
      (error) => { if (!ending.signal.aborted) setState((it) => ({ ...it, error, loading: false })); },
    );
    return () => ending.abort();
  }, [...deps, turn]);
  const stop = () => { running.current.abort(); setState((it) => ({ ...it, error: stopped(), loading: false })); };
  return { ...state, reload: () => setTurn((it) => it + 1), stop };
}

// Shows what was loaded, a skeleton before, and what went wrong.
export function Loaded({ from, children, lines }) {
  const slow = from.loading && html`<${Slow} stop=${from.stop} />`;
  if (from.error && from.data === undefined && !from.loading) return html`<${Trouble} error=${from.error} again=${from.reload} />`;
  if (from.data === undefined) return html`<${Fragment}>${slow}<${Skeleton} lines=${lines} /><//>`;
  return html`<${Fragment}>${slow}${from.error && html`<${Trouble} error=${from.error} again=${from.reload} />`}${children(from.data)}<//>`;
}

// Repeats while the page is looked at.
export function useEvery(ms, run, deps = []) {
  useEffect(() => {
    if (!ms) return undefined;
    let timer, over = false;
    const turn = async () => {
      if (!document.hidden) await run();
      if (!over) timer = setTimeout(turn, ms);
    };
    timer = setTimeout(turn, ms);
    return () => { over = true; clearTimeout(timer); };
  }, [ms, ...deps]);
}

// ----- drawer and dialog: modal, closed with Escape, focus kept inside and given back.

function Modal({ className, label, onClose, children }) {
  const ref = useRef(null);
  useLayoutEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    if (!dialog.open) dialog.showModal();
    return () => { if (dialog.open) dialog.close(); before?.focus?.({ preventScroll: true }); };
  }, []);
  return html`<dialog ref=${ref} class=${className} aria-label=${label} onCancel=${(event) => { event.preventDefault(); onClose(); }}
    onMouseDown=${(event) => { if (event.target === ref.current) onClose(); }}>${children}</dialog>`;
}

export function Drawer({ title, onClose, children, actions }) {
  return html`<${Modal} className="drawer" label=${typeof title === "string" ? title : "Details"} onClose=${onClose}>
    <header class="bar"><h2>${title}</h2><span class="grow"></span>${actions}<${Button} kind="quiet" onClick=${onClose} aria-label="Close">✕<//></header>
    <div class="drawer-body">${children}</div>
  <//>`;
}

export function Dialog({ title, onClose, children }) {
  return html`<${Modal} className="dialog" label=${title} onClose=${onClose}><h2>${title}</h2>${children}<//>`;
}

// A question that names what it is about: `await confirm({ title, body, action, danger })`.
export const asked = signal(null);
export const confirm = (question) => new Promise((resolve) => {
  asked.value = { ...question, resolve: (answer) => { asked.value = null; resolve(answer); } };
});
export function Asked() {
  const it = asked.value;
  if (!it) return null;
  return html`<${Dialog} title=${it.title} onClose=${() => it.resolve(false)}>
    <div>${it.body}</div>
    <div class="bar end">
      <${Button} onClick=${() => it.resolve(false)}>Cancel<//>
      <${Button} kind=${it.danger ? "danger" : "primary"} autofocus onClick=${() => it.resolve(true)}>${it.action}<//>
    </div>
  <//>`;
}

// ----- tabs, whose choice is in the address

export function Tabs({ name = "tab", tabs }) {
  const chosen = tabs.find((it) => it.id === place.value.query[name]) || tabs[0];
  const key = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(chosen) + step + tabs.length) % tabs.length];
    setQuery({ [name]: next === tabs[0] ? "" : next.id });
    event.currentTarget.querySelectorAll("button")[tabs.indexOf(next)].focus();
  };
  return html`<${Fragment}>
    <div class="tabs" role="tablist" onKeyDown=${key}>${tabs.map((it) => html`
      <button type="button" role="tab" aria-selected=${it === chosen} tabindex=${it === chosen ? 0 : -1}
        onClick=${() => setQuery({ [name]: it === tabs[0] ? "" : it.id })}>${it.title}</button>`)}</div>
    <div role="tabpanel" tabindex="-1">${chosen.show()}</div>
  <//>`;
}

export function Field({ label, hint, error, children, inline }) {
  const id = useId();
  return html`<div class=${cx("field", inline && "inline", error && "wrong")}>
    <label for=${id}>${label}</label>
    <div>${children(id, error ? `${id}-error` : hint ? `${id}-hint` : undefined)}
      ${error && html`<p class="field-error" id=${`${id}-error`}>${error}</p>`}
      ${hint && html`<p class="hint" id=${`${id}-hint`}>${typeof hint === "string" ? html`<${Prose} text=${hint} />` : hint}</p>`}</div>
  </div>`;
}

export function Page({ title, about, actions, children }) {
  useEffect(() => { document.title = `${title} · Switchgear`; }, [title]);
  return html`<${Fragment}>
    <header class="page-head"><div class="grow"><h1>${title}</h1>${about && html`<p class="muted">${typeof about === "string" ? html`<${Prose} text=${about} />` : about}</p>`}</div><div class="bar">${actions}</div></header>
    ${children}
  <//>`;
}

// A figure with its change where one figure decides.
export function Figure({ label, value, change, better, children }) {
  const tone = change === undefined || change === null || !better ? "" : (change > 0) === (better === "more") ? "good" : "bad";
  return html`<div class="figure"><div class="figure-label">${label}</div><div class="figure-value">${value}</div>
    <div class="figure-note">${change !== undefined && change !== null && Number.isFinite(change)
      ? html`<span class=${tone}>${change > 0 ? "▲" : change < 0 ? "▼" : "="} ${Math.abs(Math.round(change * 100))} %</span> ` : null}${children}</div></div>`;
}
