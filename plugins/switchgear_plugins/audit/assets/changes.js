// Who changed what: every write of every resource, each with what it changed.
import { Diff, Drawer, Empty, Filters, Link, Loaded, Page, Status, Table, Time, Who, findIn, html, id as escaped, kindNamed, kinds, page, place, pretty, setQuery, useLoad } from "../ui/kit.js";

const TONES = { created: "good", changed: "idle", deleted: "bad" };
const OF_A_VERSION = new Set(["actor", "created_at", "updated_at", "version", "owner", "deleted"]);
const textOf = (version) => (version && !version.deleted ? pretty(Object.fromEntries(Object.entries(version).filter(([name]) => !OF_A_VERSION.has(name)))) : "");

// A version and the one before it: what one may not see, or is not there any more, is nothing.
async function both(api, it, signal) {
  const of = (version) => (version < 1 ? null : api(`${it.kind}/${escaped(it.id)}/versions/${version}`, { signal }).catch((error) => { if (error.status === 404) return null; throw error; }));
  return Promise.all([of(it.version - 1), of(it.version)]);
}

function One({ api, it, onClose }) {
  const found = useLoad((signal) => both(api, it, signal), [it.revision, it.kind, it.id]);
  return html`<${Drawer} title=${`${it.id} ${it.action}`} onClose=${onClose}>
    <dl class="facts"><dt>What</dt><dd><${Link} to=${["k", it.kind, it.id]}>${it.id}<//> <span class="muted">of ${it.kind}, version ${it.version}</span></dd><dt>When</dt><dd><${Time} at=${it.at} /></dd><dt>By</dt><dd><${Who} id=${it.by} /></dd><dt>Revision</dt><dd>${it.revision}</dd></dl>
    <section class="section"><h2>What it changed</h2><${Loaded} from=${found}>${([before, after]) => html`<${Diff} before=${textOf(before)} after=${textOf(after)} />`}<//></section><//>`;
}

function Changes({ api }) {
  const { kind = "", id = "", by = "", revision, at } = place.value.query;
  const filters = { kind, id, by };
  const names = (kinds.value || []).map((it) => it.name);
  const open = useLoad(async (signal) => {
    if (!revision) return null;
    const { data } = await api("audit", { query: { cursor: Number(revision) + 1, limit: 500 }, signal });
    return data.find((it) => `${it.kind}/${it.id}` === at) || null;
  }, [revision, at]);
  return html`<${Page} title="Audit log" about="Every write of every resource: who, when, and what it was before and after.">
    <${Table} name="audit" deps=${[JSON.stringify(filters)]} load=${({ cursor, limit, signal }) => api("audit", { query: { ...filters, cursor, limit }, signal })} keyOf=${(it) => `${it.revision}/${it.kind}/${it.id}`}
      onRow=${(it) => setQuery({ revision: it.revision, at: `${it.kind}/${it.id}` })} selected=${revision && `${revision}/${at}`}
      columns=${[
        { key: "at", title: "When", align: "fix", show: (it) => html`<${Time} at=${it.at} relative />` }, { key: "action", title: "What", align: "fix", show: (it) => html`<${Status} value=${it.action} as=${TONES[it.action]} />` },
        { key: "kind", title: "Kind" }, { key: "id", title: "Which", show: (it) => (it.action === "deleted" ? it.id : html`<${Link} to=${["k", it.kind, it.id]}>${it.id}<//>`) }, { key: "by", title: "By", show: (it) => html`<${Who} id=${it.by} />` },
        { key: "version", title: "Version", align: "num" }, { key: "revision", title: "Revision", align: "num", hidden: true },
      ]} tools=${html`<${Filters} filters=${[{ name: "kind", choices: names }, { name: "id" }, { name: "by", find: kindNamed("users") ? findIn("users") : undefined }]} values=${filters} onChange=${setQuery} />`}
      empty=${html`<${Empty} title="No change fits">Each write of a resource is listed here.<//>`} />
    ${open.data && html`<${One} api=${api} it=${open.data} onClose=${() => setQuery({ revision: "", at: "" })} />`}
  <//>`;
}

export const show = page(Changes);
