// The page of any kind of resource, made of its declaration alone: list, form, versions, actions. Panels add what a kind has besides.
import {
  Button, Code, Diff, Dialog, Empty, Fragment, Id, JsonView, Link, Loaded, Page, Prose, ResourceForm, SchemaForm, Status, Table, Tabs, Tag, Time,
  Trouble, Filters, base, cell, client, complain, confirm, describe, go, html, many, page, place, pretty, resolve, secretsOf, setQuery, title,
  toast, useEffect, useLoad, useRef, useState, capital, id as escaped,
} from "../kit.js";
import { plugins } from "../kit/kinds.js";
import { panelsOf, ownFields, columnsOf, afterCreate } from "./panels.js";

const OWN = new Set(["id", "version", "created_at", "updated_at", "owner"]);
function usualColumns(kind, schema) {
  const found = Object.entries(schema.properties || {}).filter(([name]) => !OWN.has(name)).map(([name, it]) => ({ name, it: resolve(it, kind.$defs) }));
  const plain = found.filter(({ it }) => it.type !== "object");
  const first = new Set(plain.slice(0, 5).map(({ name }) => name));
  const to = Object.fromEntries(kind.references.filter((it) => it.kind !== "callable" && !it.field.includes(".")).map((it) => [it.field, it.kind]));
  const label = kind.id === "gateway" && ["username", "name"].find((name) => schema.properties[name]); // ids that the gateway makes tell nobody anything
  const leads = (name) => (it) => html`<${Link} to=${["k", kind.name, it.id]}>${it[name] || it.id}<//>`;
  return [
    ...(label ? [{ key: label, title: title(label), align: "fix", show: leads(label) }] : []),
    { key: "id", title: "ID", align: "fix", hidden: Boolean(label), show: leads("id") },
    ...found.filter(({ name }) => name !== label).map(({ name, it }) => ({
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
  const begin = (words) => (kind.may("create") ? html`<${Link} to=${["k", kind.name, ""]} query=${{ new: 1 }} class="button primary">${words}<//>` : null);
  const scalar = kind.filters.filter((name) => { const it = resolve(view.properties[name] || {}, kind.$defs); return it.type !== "object"; });
  return html`<${Page} title=${many(kind)} about=${kind.summary} actions=${begin(`New ${kind.title}`)}>
    <${Table} name=${kind.name} columns=${columns} deps=${[kind.name, q, JSON.stringify(filters)]}
      load=${({ cursor, limit, signal }) => api(kind.name, { query: { limit, cursor, q, ...filters }, signal })}
      onRow=${(it) => go(["k", kind.name, it.id])}
      tools=${html`<input class="small" type="search" placeholder="Id or name" aria-label=${`Find ${many(kind).toLowerCase()}`} value=${word} onInput=${(event) => setWord(event.target.value)} />
        <${Filters} filters=${scalar.map((name) => ({ name, choices: choices(name) }))} values=${filters} onChange=${setQuery} reserved=${["q", "columns", "new"]} />`}
      empty=${filtered ? html`<${Empty} title="Nothing fits">No ${kind.title} has this. Take a filter off.<//>`
        : html`<${Empty} title=${`No ${many(kind).toLowerCase()} yet`} action=${begin(`Make the first ${kind.title}`)}><${Prose} text=${kind.summary} /> Over the API: <code>POST /admin/v1/${kind.name}</code>.<//>`} />
  <//>`;
}

// ----- writing one

// The form that a plugin brings for its kind, or the one made of its schema.
function Form({ kind, api, resource, onSaved }) {
  const own = panelsBrought(kind).find((it) => it.slug === "edit");
  if (own && kind.may(resource ? "replace" : "create")) return html`<${Brought} panel=${own} api=${api} kind=${kind} resource=${resource} onSaved=${onSaved} />`;
  return html`<${ResourceForm} kind=${kind} api=${api} resource=${resource} own=${(value) => ownFields(kind, value)} onSaved=${onSaved} />`;
}

function New({ kind, api }) {
  const [made, setMade] = useState(null);
  if (made) return html`<${Page} title=${`${capital(kind.title)} made`}>${afterCreate(kind, made) || html`<${Once} kind=${kind} made=${made} />`}<//>`;
  return html`<${Page} title=${`New ${kind.title}`} about=${kind.summary}>
    <${Form} kind=${kind} api=${api} onSaved=${(saved) => {
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
      <td class="num">${n > 0 && !it.deleted && kind.restorable && kind.may("restore") ? html`<${Button} kind="small" onClick=${() => restore(it.version)}>Restore<//>` : null}</td></tr>`)}</tbody></table></div>
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

const panelsBrought = (kind) => plugins.value.filter((it) => it.panel && it.kind === kind.name);

// The panel of a plugin: its module shows itself in a tab, as a page does in its place.
function Brought({ panel, api, kind, resource, onSaved }) {
  const box = useRef(null);
  const [error, setError] = useState(null);
  const saved = useRef(null);
  saved.current = onSaved;
  useEffect(() => {
    let over = false, leave = null;
    import(new URL(panel.module.slice(panel.module.indexOf("/ui/") + 1), base).href)
      .then((module) => (over || !box.current ? null : module.show(box.current, api, resource ? [resource.id] : [], { kind, resource: resource || null, saved: (it) => saved.current(it) })))
      .then((end) => { if (over) end?.(); else leave = end; })
      .catch((problem) => { console.error(problem); setError(problem); });
    return () => { over = true; leave?.(); };
  }, [panel.module, resource?.id, resource?.version]);
  return html`<${Fragment}>${error && html`<${Trouble} error=${error} />`}<div ref=${box}></div><//>`;
}

// Which others name a resource: what they are about, and what keeps it from being deleted.
function Users({ kind, api, id }) {
  const found = useLoad((signal) => api("references", { query: { kind: kind.name, id }, signal }), [kind.name, id]);
  return html`<${Loaded} from=${found} lines=${3}>${({ data, more }) => (data.length ? html`<div class="table-box"><table><thead><tr><th>What</th><th>ID</th><th>Name</th></tr></thead>
    <tbody>${data.map((it) => html`<tr key=${`${it.kind}/${it.id}`}><td class="fix">${capital(it.title)}</td><td><${Link} to=${["k", it.kind, it.id]}>${it.id}<//></td><td>${cell(it.name)}</td></tr>`)}</tbody></table></div>
    <p class="hint">${more ? "There are others besides. " : ""}It is not deleted while they name it.</p>` : html`<${Empty} title="Nothing names it">Other resources that name this ${kind.title} are listed here. Calls name it without being listed: they are in the request log.<//>`)}<//>`;
}

function One({ kind, api, id }) {
  const [once, setOnce] = useState(null);
  const found = useLoad((signal) => api(`${kind.name}/${escaped(id)}`, { signal }), [kind.name, id, place.value.query.back]);
  const drop = async () => { try { if (await remove(kind, api, found.data)) go(["k", kind.name]); } catch (error) { complain(error); } };
  const saved = (now) => { if (now) toast(`Saved ${id}, version ${now.version}`); found.reload(); };
  if (found.error?.status === 404) {
    return html`<${Page} title=${id}><${Empty} title=${`There is no ${kind.title} ${id}`} action=${html`<${Link} to=${["k", kind.name]} class="button">All ${many(kind).toLowerCase()}<//>`}>It may have been deleted. If it ever was, its versions are still here.<//>
      <div class="section"><h2>Versions</h2><${Versions} kind=${kind} api=${api} id=${id} onChanged=${found.reload} /></div><//>`;
  }
  return html`<${Loaded} from=${found}>${(it) => html`<${Page} title=${it.name || it.username || it.title || it.id}
      about=${html`<span class="bar"><span>${capital(kind.title)}</span><${Id} value=${it.id} /> <span>version ${it.version}, changed <${Time} at=${it.updated_at} relative /></span>${it.owner !== "api" ? html`<${Tag}>from ${it.owner}, read-only here<//>` : null}</span>`}
      actions=${html`${kind.actions.filter((action) => kind.may(action.name)).map((action) => html`<${Action} key=${action.name} kind=${kind} api=${api} id=${id} action=${action} onDone=${(done) => { toast(`${title(action.name)}: ${id}`); if (kind.once.some((name) => done?.[name])) setOnce(done); found.reload(); }} />`)}
        ${kind.may("delete") && html`<${Button} kind="danger" onClick=${drop}>Delete<//>`}`}>
    ${once && html`<${Dialog} title=${`New secret of ${id}`} onClose=${() => setOnce(null)}><p class="note">This is shown once: keep it now.</p>${kind.once.filter((name) => once[name]).map((name) => html`<${Code} text=${String(once[name])} />`)}<div class="bar end"><${Button} kind="primary" onClick=${() => setOnce(null)}>I have it<//></div><//>`}
    <${Tabs} tabs=${[
      ...panelsBrought(kind).filter((panel) => panel.slug !== "edit").map((panel) => ({ id: panel.slug, title: panel.title, show: () => html`<${Brought} key=${`${panel.slug}/${id}`} panel=${panel} api=${api} kind=${kind} resource=${it} onSaved=${saved} />` })),
      ...panelsOf(kind).map((panel) => ({ id: panel.id, title: panel.title, show: () => html`<${panel.Show} key=${id} kind=${kind} api=${api} resource=${it} reload=${found.reload} />` })),
      { id: "edit", title: kind.may("replace") ? "Edit" : "Details", show: () => html`<${Form} key=${`${id}@${it.version}`} kind=${kind} api=${api} resource=${it} onSaved=${saved} />` },
      { id: "used", title: "Where used", show: () => html`<${Users} kind=${kind} api=${api} id=${id} />` },
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
