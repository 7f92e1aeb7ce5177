// What is around every page: navigation, search, who is signed in.
import { html, useEffect, useRef, useState, cx, Fragment } from "./kit/dom.js";
import { base, client, session } from "./kit/api.js";
import { before, href, place } from "./kit/router.js";
import { Asked, Button, ErrorBoundary, Skeleton, Toasts, Trouble } from "./kit/parts.js";
import { enabled, kinds, many, plugins } from "./kit/kinds.js";
import { GROUPS, PAGES } from "./pages.js";
import { Palette, palette } from "./palette.js";
import { SignIn } from "./signin.js";
import { signOut } from "./session.js";
import { applyTheme, theme } from "./theme.js";

// What navigation offers: the console's pages, those of plugins, and every kind that no page is about.
export function entries() {
  const { limited } = session.value.who || {};
  const own = PAGES.filter((it) => !it.hidden && (!limited || it.forAll) && (!it.needs || enabled.value.has(it.needs))).map((it) => ({ title: it.title, group: it.group || "", to: [it.slug] }));
  const brought = plugins.value.filter((it) => !it.panel).map((it) => ({ title: it.title, group: it.group, to: ["p", it.plugin, it.slug], kind: it.kind }));
  const covered = new Set(brought.map((it) => it.kind).filter(Boolean));
  const generated = (kinds.value || []).filter((it) => !covered.has(it.name) && (!limited || it.scoped)).map((it) => ({ title: many(it), group: it.group, to: ["k", it.name] }));
  const all = [...own, ...generated, ...brought];
  return ["", ...GROUPS].map((group) => [group, all.filter((it) => it.group === group)]).filter(([, found]) => found.length);
}

function Navigation({ shut }) {
  const { parts } = place.value;
  const here = (to) => to.every((part, n) => parts[n] === part) || (!parts.length && to[0] === "overview");
  return html`<nav aria-label="Pages" onClick=${(event) => { if (event.target.closest("a")) shut(); }}>${entries().map(([group, found]) => html`<div class="nav-group" key=${group}>
    ${group && html`<h2>${group}</h2>`}
    <ul>${found.map((it) => html`<li key=${it.to.join("/")}><a href=${href(it.to)} aria-current=${here(it.to) ? "page" : undefined}>${it.title}</a></li>`)}</ul></div>`)}
    <div class="nav-group"><ul><li><a href=${new URL("docs", base).href} target="_blank" rel="noreferrer">API description ↗</a></li></ul></div>
  </nav>`;
}

const THEMES = { system: "As the system", light: "Light", dark: "Dark" };

function Account() {
  const who = session.value.who;
  return html`<details class="menu right"><summary class="button quiet" aria-label="Account and appearance">${who?.name || "account"}</summary><div class="menu-body">
    <a href=${href(["account"])}>Your account</a>
    <fieldset><legend class="muted">Appearance</legend>${Object.entries(THEMES).map(([name, title]) => html`<label class="check"><input type="radio" name="theme" checked=${theme.value === name} onChange=${() => applyTheme(name)} /> ${title}</label>`)}</fieldset>
    <${Button} onClick=${signOut}>Sign out<//></div></details>`;
}

// What tells one page from another; the rest of an address is the page's own.
const whereOf = ([first = "", second, third]) => (first === "p" ? `p/${second}/${third}` : first === "k" ? `k/${second}` : first);

// The page of this address: its module is fetched when first shown, and what it began is ended when it is left.
function Outlet() {
  const box = useRef(null);
  const [state, setState] = useState({ busy: true, error: null });
  const [turn, setTurn] = useState(0);
  const { parts } = place.value;
  const [first = session.value.who?.limited ? "account" : "overview", second, third] = parts;
  const where = whereOf(parts);
  useEffect(() => {
    const ending = new AbortController();
    let leave = null;
    const element = document.createElement("div");
    element.className = "page";
    const end = () => { ending.abort(); if (typeof leave === "function") leave(); leave = null; };
    const tell = (next) => { if (whereOf(next.parts) !== where) end(); };
    before.add(tell);
    setState({ busy: true, error: null });
    const find = async () => {
      if (first === "p") {
        const listed = plugins.value.length ? plugins.value : (await client(ending.signal)("pages")).data;
        const found = listed.find((it) => it.plugin === second && it.slug === third);
        if (!found) throw new Error("No enabled plugin brings this page.");
        document.title = `${found.title} · Switchgear`;
        return [import(new URL(found.module.slice(found.module.indexOf("/ui/") + 1), base).href), parts.slice(3)];
      }
      const found = PAGES.find((it) => it.slug === first);
      if (!found) throw new Error("There is no such page.");
      return [import(`./pages/${found.module || found.slug}.js`), parts.slice(1)];
    };
    find().then(async ([loading, below]) => {
      const module = await loading;
      if (ending.signal.aborted) return;
      box.current.replaceChildren(element);
      leave = await module.show(element, client(ending.signal), below);
      if (!ending.signal.aborted) setState({ busy: false, error: null });
      else if (typeof leave === "function") leave();
    }).catch((error) => { if (!ending.signal.aborted) { console.error(error); setState({ busy: false, error }); } });
    document.getElementById("main")?.scrollTo(0, 0);
    return () => { before.delete(tell); end(); element.remove(); };
  }, [where, turn]);
  return html`<${Fragment}>${state.error ? html`<${Trouble} error=${state.error} again=${() => setTurn((it) => it + 1)} />` : state.busy && !box.current?.firstChild ? html`<${Skeleton} lines=${8} />` : null}<div ref=${box}></div><//>`;
}

function useShortcuts() {
  useEffect(() => {
    const key = (event) => {
      const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") { event.preventDefault(); palette.value = palette.value === null ? "" : null; }
      else if (event.key === "/" && !typing && !event.metaKey && !event.ctrlKey && palette.value === null) { event.preventDefault(); palette.value = ""; }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
}

// Menus shut when one clicks elsewhere.
addEventListener("click", (event) => { for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false; });

export function Shell() {
  const [open, setOpen] = useState(false);
  useShortcuts();
  const { state } = session.value;
  if (state === "unknown") return html`<div class="boot" aria-busy="true"></div>`;
  if (state === "out") return html`<${Fragment}><${SignIn} /><${Toasts} /><//>`;
  return html`<div class=${cx("shell", open && "nav-open")}>
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the page</a>
    <header class="top">
      <${Button} kind="quiet only-narrow" aria-label="Navigation" aria-expanded=${open} onClick=${() => setOpen(!open)}>☰<//>
      <a class="brand" href=${href(["overview"])}><img src=${new URL("icon.svg", import.meta.url).href} alt="" width="18" height="18" /> Switchgear</a>
      <span class="grow"></span>
      <button type="button" class="search" onClick=${() => { palette.value = ""; }}><span>Find or paste an id</span><kbd>/</kbd></button>
      <${Account} />
    </header>
    <aside class="side"><${Navigation} shut=${() => setOpen(false)} /></aside>
    <div class="scrim" onClick=${() => setOpen(false)}></div>
    <main id="main" tabindex="-1"><${ErrorBoundary}><${Outlet} /><//></main>
    ${palette.value !== null && html`<${Palette} entries=${entries()} />`}
    <${Asked} /><${Toasts} />
  </div>`;
}
