// The page of any kind of resource, made of its declaration alone: list, form, versions, actions. Panels add what a kind has besides.
import {
  Button, Code, Copy, Diff, Dialog, Empty, Field, Fragment, Id, JsonInput, JsonView, Link, Loaded, Page, SchemaForm, Status, Table, Tabs, Tag, Time, Trouble, Filters, base, cell, client, complain,
  confirm, describe, go, html, many, page, place, plural, pretty, resolve, setQuery, title, toast, useDraft, useEffect, useLoad, useMemo, useRef, useState, capital, id as escaped,
} from "../kit.js";
import { plugins } from "../kit/kinds.js";
import { panelsOf, ownFields, columnsOf, afterCreate } from "./panels.js";

const OWN = new Set(["id", "version", "created_at", "updated_at", "owner"]);
const an = (text) => `${/^[aeiou]/i.test(text) ? "an" : "a"} ${text}`;

// What schemas call secret and what a credential's backend does.
const TELLING = /(^|_)(password|secret|passphrase)(_hash)?$/;
const secretsOf = (kind) => [...kind.secrets, ...Object.keys(resolve(kind.schemas.create, kind.$defs).properties || {}).filter((name) => TELLING.test(name)), ...(kind.name === "credentials" ? ["source.values.*", "source.values"] : []), ...(kind.name === "api-keys" ? ["key"] : [])];

function usualColumns(kind, schema) {
  const found = Object.entries(schema.properties || {}).filter(([name]) => !OWN.has(name)).map(([name, it]) => ({ name, it: resolve(it, kind.$defs) }));
  const plain = found.filter(({ it }) => it.type !== "object");
  const first = new Set(plain.slice(0, 5).map(({ name }) => name));
  const to = Object.fromEntries(kind.references.filter((it) => it.kind !== "callable" && !it.field.includes(".")).map((it) => [it.field, it.kind]));
  return [
    { key: "id", title: "ID", align: "fix", show: (it) => html`<${Link} to=${["k", kind.name, it.id]}>${it.id}<//>` },
    ...found.map(({ name, it }) => ({
      key: name, title: title(name), hidden: !first.has(name), align: it.type === "integer" || it.type === "number" ? "num" : "",
      show: (row) => (to[name] && row[name] ? html`<${Link} to=${["k", to[name], row[name]]}>${row[name]}<//>` : name === "enabled" ? html`<${Status} value=${row[name] ? "enabled" : "disabled"} />` : name === "status" ? html`<${Status} value=${row[name]} />` : it.format === "date-time" ? html`<${Time} at=${row[name]} />` : cell(row[name])),
    })),
    { key: "updated_at", title: "Changed", align: "fix", show: (it) => html`<${Time} at=${it.updated_at} relative />` },
    { key: "created_at", title: "Made", align: "fix", hidden: true, show: (it) => html`<${Time} at=${it.created_at} relative />` },
    { key: "owner", title: "Owner", hidden: true },
    { key: "version", title: "Version", align: "num", hidden: true },
  ];
}

function List({ kind, api }) {
  const { q = "", columns: _, ...filters } = place.value.query;
  const [word, setWord] = useState(q);
  useEffect(() => { const timer = setTimeout(() => setQuery({ q: word }), 250); return () => clearTimeout(timer); }, [word]);
  const view = resolve(kind.schemas.view, kind.$defs);
  const columns = columnsOf(kind) || usualColumns(kind, view);
  const filtered = q || Object.keys(filters).length;
  const choices = (name) => {
    const it = resolve(view.properties[name], kind.$defs);
    return it.enum || (it.type === "boolean" ? ["true", "false"] : undefined);
  };
  const scalar = kind.filters.filter((name) => { const it = resolve(view.properties[name] || {}, kind.$defs); return it.type !== "object"; });
  return html`<${Page} title=${many(kind)} about=${kind.summary} actions=${html`<${Link} to=${["k", kind.name, ""]} query=${{ new: 1 }} class="button primary">New ${kind.title}<//>`}>
    <${Table} name=${kind.name} columns=${columns} deps=${[kind.name, q, JSON.stringify(filters)]}
      load=${({ cursor, limit, signal }) => api(kind.name, { query: { limit, cursor, q, ...filters }, signal })}
      onRow=${(it) => go(["k", kind.name, it.id])}
      tools=${html`<input class="small" type="search" placeholder="Id or name" aria-label=${`Find ${many(kind).toLowerCase()}`} value=${word} onInput=${(event) => setWord(event.target.value)} />
        <${Filters} filters=${scalar.map((name) => ({ name, choices: choices(name) }))} values=${filters} onChange=${setQuery} reserved=${["q", "columns", "new"]} />`}
      empty=${filtered ? html`<${Empty} title="Nothing fits">No ${kind.title} has this. Take a filter off.<//>`
        : html`<${Empty} title=${`No ${many(kind).toLowerCase()} yet`} action=${html`<${Link} to=${["k", kind.name, ""]} query=${{ new: 1 }} class="button primary">Make the first ${kind.title}<//>`}>${kind.summary} Over the API: <code>POST /admin/v1/${kind.name}</code>.<//>`} />
  <//>`;
}

// ----- writing one

const merged = (from, schema, defs) => {
  const names = Object.keys(resolve(schema, defs).properties || {});
  return Object.fromEntries(Object.entries(from).filter(([name, value]) => names.includes(name) && value !== null));
};

function Editor({ kind, api, resource, onSaved }) {
  const schema = resource ? kind.schemas.replace : kind.schemas.create;
  const secrets = secretsOf(kind);
  const start = useMemo(() => (resource ? merged(resource, schema, kind.$defs) : {}), [resource]);
  const [draft, setDraft] = useDraft(`${kind.name}/${resource ? `${resource.id}@${resource.version}` : "new"}`, secrets);
  const value = draft ?? start;
  const [errors, setErrors] = useState([]);
  const [busy, setBusy] = useState(false);
  const [conflict, setConflict] = useState(false);
  const raw = place.value.query.as === "json";
  const own = ownFields(kind, value, (next) => setDraft(next));
  const save = async (event) => {
    event.preventDefault();
    setBusy(true);
    setErrors([]);
    try {
      const saved = resource
        ? await api(`${kind.name}/${escaped(resource.id)}`, { method: "PUT", body: value, version: resource.version })
        : await api(kind.name, { method: "POST", body: value });
      setDraft(null);
      setBusy(false);
      onSaved(saved);
    } catch (error) {
      setBusy(false);
      if (error.status === 412) setConflict(true);
      const found = error.errors?.length ? error.errors : [{ pointer: "", detail: error.message }];
      setErrors(found);
      requestAnimationFrame(() => document.querySelector(".wrong :is(input, select, textarea), .field-error")?.scrollIntoView?.({ block: "center" }));
    }
  };
  return html`<form onSubmit=${save} class="editor" novalidate>
    ${draft !== null && html`<div class="note bar"><span class="grow">Not saved yet: this is kept in this tab, also over a refresh${secrets.length ? "; secrets are not" : ""}.</span><${Button} kind="quiet" onClick=${() => { setDraft(null); setErrors([]); }}>Discard<//></div>`}
    ${conflict && html`<div class="trouble" role="alert"><p>Somebody else has changed this ${kind.title} meanwhile.</p><${Button} onClick=${() => { setDraft(null); onSaved(null); }}>Show theirs<//></div>`}
    ${raw ? html`<${Field} label="JSON">${(id) => html`<${JsonInput} id=${id} rows=${18} value=${value} onChange=${(to) => setDraft(to || {})} />`}<//>
        ${errors.length ? html`<ul class="field-error" role="alert">${errors.map((it) => html`<li><code>${it.pointer || "/"}</code> ${it.detail}</li>`)}</ul>` : null}`
      : html`<${SchemaForm} schema=${schema} defs=${kind.$defs} value=${value} onChange=${setDraft} errors=${errors} references=${kind.references} secrets=${secrets} own=${own} editing=${Boolean(resource)} skip=${!resource && kind.id === "gateway" ? ["id"] : []} />`}
    ${errors.length && !raw ? html`<p class="field-error" role="status">${plural(errors.length, "field")} ${errors.length === 1 ? "is" : "are"} not right: ${errors.map((it) => it.pointer || "the whole").join(", ")}</p>` : null}
    <div class="bar">
      <${Button} kind="primary" type="submit" busy=${busy} disabled=${resource && draft === null}>${resource ? "Save" : `Make ${kind.title}`}<//>
      <${Button} kind="quiet" onClick=${() => setQuery({ as: raw ? "" : "json" })}>${raw ? "As a form" : "As JSON"}<//>
    </div>
  </form>`;
}

function New({ kind, api }) {
  const [made, setMade] = useState(null);
  if (made) return html`<${Page} title=${`${capital(kind.title)} made`}>${afterCreate(kind, made) || html`<${Once} kind=${kind} made=${made} />`}<//>`;
  return html`<${Page} title=${`New ${kind.title}`} about=${kind.summary}>
    <${Editor} kind=${kind} api=${api} onSaved=${(saved) => {
      if (kind.once.some((name) => saved[name]) || afterCreate(kind, saved)) setMade(saved);
      else { toast(`Made the ${kind.title} ${saved.id}`); go(["k", kind.name, saved.id]); }
    }} /><//>`;
}

// What is shown this once and never again.
export function Once({ kind, made }) {
  return html`<div class="section">${kind.once.filter((name) => made[name]).map((name) => html`
    <p class="note">This is shown once: keep it now. Here it cannot be seen again.</p><h2>${title(name)}</h2><${Code} text=${String(made[name])} label=${`Copy the ${name}`} />`)}
    <p class="bar end"><${Link} to=${["k", kind.name, made.id]} class="button">To the ${kind.title}<//></p></div>`;
}

// ----- versions

const body = (it) => { const { actor: _a, updated_at: _u, created_at: _c, version: _v, owner: _o, deleted: _d, ...rest } = it; return pretty(rest); };

function Versions({ kind, api, id, current, onChanged }) {
  const [rows, setRows] = useState(null);
  const [cursor, setCursor] = useState(null);
  const [error, setError] = useState(null);
  const [pair, setPair] = useState([null, null]);
  const load = async (from) => {
    try {
      const found = await api(`${kind.name}/${escaped(id)}/versions`, { query: { limit: 50, cursor: from } });
      setRows((it) => (from ? [...it, ...found.data] : found.data));
      setCursor(found.next_cursor);
      if (!from) setPair([found.data[1]?.version ?? found.data[0]?.version, found.data[0]?.version]);
    } catch (problem) { setError(problem); }
  };
  useEffect(() => { load(null); }, [current]);
  const restore = async (version) => {
    const yes = await confirm({ title: `Restore version ${version}?`, body: html`<p>The ${kind.title} <code>${id}</code> becomes what it was in version ${version}. That is a new version; the one in force stays among the others.</p>`, action: "Restore" });
    if (!yes) return;
    try {
      await api(`${kind.name}/${escaped(id)}/restore`, { method: "POST", body: { version } });
      toast(`Restored version ${version} of ${id}`);
      onChanged();
    } catch (problem) { complain(problem); }
  };
  if (error) return html`<${Trouble} error=${error} />`;
  if (!rows) return html`<p class="muted">Loading…</p>`;
  const [from, to] = pair.map((version) => rows.find((it) => it.version === version));
  return html`<${Fragment}>
    <div class="table-box"><table><thead><tr><th>Version</th><th>From</th><th>To</th><th>When</th><th>By</th><th></th></tr></thead><tbody>${rows.map((it, n) => html`<tr key=${it.version}>
      <td class="fix">${it.version}${it.deleted ? html` <${Status} value="deleted" as="bad" />` : n === 0 ? html` <${Tag}>in force<//>` : null}</td>
      <td><input type="radio" name="from" aria-label=${`Compare from version ${it.version}`} checked=${pair[0] === it.version} onChange=${() => setPair([it.version, pair[1]])} /></td>
      <td><input type="radio" name="to" aria-label=${`Compare to version ${it.version}`} checked=${pair[1] === it.version} onChange=${() => setPair([pair[0], it.version])} /></td>
      <td class="fix"><${Time} at=${it.updated_at} /></td><td>${it.actor}</td>
      <td class="num">${n > 0 && !it.deleted && kind.restorable ? html`<${Button} kind="small" onClick=${() => restore(it.version)}>Restore<//>` : null}</td></tr>`)}</tbody></table></div>
    ${cursor && html`<p><${Button} onClick=${() => load(cursor)}>Older<//></p>`}
    ${!kind.restorable && html`<p class="muted">Old versions of ${many(kind).toLowerCase()} are not written again: that could undo something final.</p>`}
    ${from && to && from !== to && html`<div class="section"><h2>From version ${from.version} to ${to.version}</h2><${Diff} before=${body(from)} after=${body(to)} /></div>`}
  <//>`;
}

// ----- one

function Action({ kind, api, id, action, onDone }) {
  const [asking, setAsking] = useState(false);
  const [value, setValue] = useState({});
  const [errors, setErrors] = useState([]);
  const run = async (input) => {
    try {
      const done = await api(`${kind.name}/${escaped(id)}/${action.name}`, { method: "POST", body: input });
      setAsking(false);
      onDone(done, action);
    } catch (error) { if (input) setErrors(error.errors?.length ? error.errors : [{ pointer: "", detail: error.message }]); else complain(error); }
  };
  const ask = async () => {
    if (action.takes) { setValue({}); setErrors([]); setAsking(true); return; }
    if (await confirm({ title: `${title(action.name)} ${id}?`, body: html`<p>${action.summary}.</p>`, action: title(action.name), danger: /revoke|delete|suspend|cancel/.test(action.name) })) run(undefined);
  };
  return html`<${Button} kind=${/revoke/.test(action.name) ? "danger" : ""} title=${action.summary} onClick=${ask}>${title(action.name)}<//>
    ${asking && html`<${Dialog} title=${`${title(action.name)} ${id}`} onClose=${() => setAsking(false)}><p class="muted">${action.summary}.</p>
      <form onSubmit=${(event) => { event.preventDefault(); run(value); }}><${SchemaForm} schema=${kind.schemas.actions[action.name]} defs=${kind.$defs} value=${value} onChange=${setValue} errors=${errors} secrets=${secretsOf(kind)} own=${ownFields(kind, value, setValue)} />
        <div class="bar end"><${Button} onClick=${() => setAsking(false)}>Cancel<//><${Button} kind="primary" type="submit">${title(action.name)}<//></div></form><//>`}`;
}

export async function remove(kind, api, resource) {
  const yes = await confirm({
    title: `Delete the ${kind.title} ${resource.id}?`, danger: true, action: `Delete ${resource.id}`,
    body: html`<p>${kind.restorable ? "It can be brought back: its versions stay." : "This is final: it cannot be brought back."} What names it keeps it from being deleted.</p>`,
  });
  if (!yes) return false;
  await api(`${kind.name}/${escaped(resource.id)}`, { method: "DELETE" });
  toast(`Deleted the ${kind.title} ${resource.id}`, kind.restorable ? {
    action: async () => {
      try {
        await client()(`${kind.name}/${escaped(resource.id)}/restore`, { method: "POST", body: { version: resource.version } });
        toast(`${resource.id} is back`);
        go(["k", kind.name, resource.id], { back: Date.now() });
      } catch (error) { complain(error); }
    },
  } : {});
  return true;
}

// The panel of a plugin: its module shows itself in a tab, as a page does in its place.
function Brought({ panel, api, id }) {
  const box = useRef(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    let over = false, leave = null;
    import(new URL(panel.module.slice(panel.module.indexOf("/ui/") + 1), base).href)
      .then((module) => (over || !box.current ? null : module.show(box.current, api, [id])))
      .then((end) => { if (over) end?.(); else leave = end; })
      .catch((problem) => { console.error(problem); setError(problem); });
    return () => { over = true; leave?.(); };
  }, [panel.module, id]);
  return html`<${Fragment}>${error && html`<${Trouble} error=${error} />`}<div ref=${box}></div><//>`;
}

function One({ kind, api, id }) {
  const [once, setOnce] = useState(null);
  const found = useLoad((signal) => api(`${kind.name}/${escaped(id)}`, { signal }), [kind.name, id, place.value.query.back]);
  const drop = async () => { try { if (await remove(kind, api, found.data)) go(["k", kind.name]); } catch (error) { complain(error); } };
  if (found.error?.status === 404) {
    return html`<${Page} title=${id}><${Empty} title=${`There is no ${kind.title} ${id}`} action=${html`<${Link} to=${["k", kind.name]} class="button">All ${many(kind).toLowerCase()}<//>`}>It may have been deleted. If it ever was, its versions are still here.<//>
      <div class="section"><h2>Versions</h2><${Versions} kind=${kind} api=${api} id=${id} onChanged=${found.reload} /></div><//>`;
  }
  return html`<${Loaded} from=${found}>${(it) => html`<${Page} title=${it.name || it.username || it.title || it.id}
      about=${html`<span class="bar"><span>${capital(kind.title)}</span><${Id} value=${it.id} /> <span>version ${it.version}, changed <${Time} at=${it.updated_at} relative /></span>${it.owner !== "api" ? html`<${Tag}>from ${it.owner}, read-only here<//>` : null}</span>`}
      actions=${html`${kind.actions.map((action) => html`<${Action} key=${action.name} kind=${kind} api=${api} id=${id} action=${action} onDone=${(done) => { toast(`${title(action.name)}: ${id}`); if (kind.once.some((name) => done?.[name])) setOnce(done); found.reload(); }} />`)}
        <${Button} kind="danger" onClick=${drop}>Delete<//>`}>
    ${once && html`<${Dialog} title=${`New secret of ${id}`} onClose=${() => setOnce(null)}><p class="note">This is shown once: keep it now.</p>${kind.once.filter((name) => once[name]).map((name) => html`<${Code} text=${String(once[name])} />`)}<div class="bar end"><${Button} kind="primary" onClick=${() => setOnce(null)}>I have it<//></div><//>`}
    <${Tabs} tabs=${[
      ...plugins.value.filter((panel) => panel.panel && panel.kind === kind.name).map((panel) => ({ id: panel.slug, title: panel.title, show: () => html`<${Brought} key=${`${panel.slug}/${id}`} panel=${panel} api=${api} id=${id} />` })),
      ...panelsOf(kind).map((panel) => ({ id: panel.id, title: panel.title, show: () => html`<${panel.Show} key=${id} kind=${kind} api=${api} resource=${it} reload=${found.reload} />` })),
      { id: "edit", title: "Edit", show: () => html`<${Editor} key=${`${id}@${it.version}`} kind=${kind} api=${api} resource=${it} onSaved=${(saved) => { if (saved) toast(`Saved ${id}, version ${saved.version}`); found.reload(); }} />` },
      { id: "versions", title: "Versions", show: () => html`<${Versions} kind=${kind} api=${api} id=${id} current=${it.version} onChanged=${found.reload} />` },
      { id: "json", title: "JSON", show: () => html`<${JsonView} value=${it} />` },
    ]} />
  <//>`}<//>`;
}

function Kind({ api }) {
  const [, name, id] = place.value.parts;
  const creating = place.value.query.new;
  const found = useLoad(() => describe(name), [name]);
  return html`<${Loaded} from=${found}>${(kind) => (creating ? html`<${New} kind=${kind} api=${api} />` : id ? html`<${One} key=${`${name}/${id}`} kind=${kind} api=${api} id=${id} />` : html`<${List} key=${name} kind=${kind} api=${api} />`)}<//>`;
}

export const show = page(Kind);
