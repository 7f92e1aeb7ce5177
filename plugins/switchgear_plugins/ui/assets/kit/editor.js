// Writing a resource: a form made of its kind's schema, or JSON; kept as a draft, with what is wrong told at its field.
import { html, useMemo, useState } from "./dom.js";
import { id as escaped } from "./api.js";
import { plural } from "./format.js";
import { JsonInput, Lost, SchemaForm, resolve, useDraft } from "./form.js";
import { Button, Field } from "./parts.js";
import { place, setQuery } from "./router.js";

// What schemas call secret and what a credential's backend does.
const TELLING = /(^|_)(password|secret|passphrase)(_hash)?$/;
export const secretsOf = (kind) => [...kind.secrets, ...Object.keys(resolve(kind.schemas.create, kind.$defs).properties || {}).filter((name) => TELLING.test(name)), ...(kind.name === "credentials" ? ["source.values.*", "source.values"] : []), ...(kind.name === "api-keys" ? ["key"] : [])];

const written = (resource, schema, defs) => {
  const names = Object.keys(resolve(schema, defs).properties || {});
  return Object.fromEntries(Object.entries(resource).filter(([name, value]) => names.includes(name) && value !== null));
};

// `resource` is what is changed; without one a new one is made. `own` are fields of one's own by their paths, or a function of the
// value that returns them. Whoever may not write it reads it. `children`, a function, may lay the form out otherwise: it gets what SchemaForm takes.
export function ResourceForm({ kind, api, resource, onSaved, own = {}, children }) {
  const schema = resource ? kind.schemas.replace : kind.schemas.create;
  const secrets = secretsOf(kind);
  const start = useMemo(() => (resource ? written(resource, schema, kind.$defs) : {}), [resource]);
  const [draft, setDraft] = useDraft(`${kind.name}/${resource ? `${resource.id}@${resource.version}` : "new"}`, secrets);
  const value = draft ?? start;
  const [errors, setErrors] = useState([]);
  const [busy, setBusy] = useState(false);
  const [conflict, setConflict] = useState(false);
  const raw = place.value.query.as === "json";
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
      setErrors(error.errors?.length ? error.errors : [{ pointer: "", detail: error.message }]);
      requestAnimationFrame(() => document.querySelector(".wrong :is(input, select, textarea), .field-error")?.scrollIntoView?.({ block: "center" }));
    }
  };
  const form = {
    schema, defs: kind.$defs, value, onChange: setDraft, errors, references: kind.references, secrets, own: typeof own === "function" ? own(value) : own,
    editing: Boolean(resource), skip: !resource && kind.id === "gateway" ? ["id"] : [],
  };
  const fields = children ? html`<${Lost} errors=${errors.filter((it) => !it.pointer)} />${children(form)}` : html`<${SchemaForm} ...${form} />`;
  if (!kind.may(resource ? "replace" : "create")) return html`<fieldset class="editor" disabled>${fields}</fieldset>`;
  return html`<form onSubmit=${save} class="editor" novalidate>
    ${draft !== null && html`<div class="note bar"><span class="grow">Not saved yet: this is kept in this tab, also over a refresh${secrets.length ? "; secrets are not" : ""}.</span><${Button} kind="quiet" onClick=${() => { setDraft(null); setErrors([]); }}>Discard<//></div>`}
    ${conflict && html`<div class="trouble" role="alert"><p>Somebody else has changed this ${kind.title} meanwhile.</p><${Button} onClick=${() => { setDraft(null); onSaved(null); }}>Show theirs<//></div>`}
    ${raw ? html`<${Field} label="JSON">${(id) => html`<${JsonInput} id=${id} rows=${18} value=${value} onChange=${(to) => setDraft(to || {})} />`}<//>
        ${errors.length ? html`<ul class="field-error" role="alert">${errors.map((it) => html`<li><code>${it.pointer || "/"}</code> ${it.detail}</li>`)}</ul>` : null}`
      : fields}
    ${errors.length && !raw ? html`<p class="field-error" role="status">${plural(errors.length, "field")} ${errors.length === 1 ? "is" : "are"} not right: ${errors.map((it) => it.pointer || "the whole").join(", ")}</p>` : null}
    <div class="bar">
      <${Button} kind="primary" type="submit" busy=${busy} disabled=${resource && draft === null}>${resource ? "Save" : `Make ${kind.title}`}<//>
      <${Button} kind="quiet" onClick=${() => setQuery({ as: raw ? "" : "json" })}>${raw ? "As a form" : "As JSON"}<//>
    </div>
  </form>`;
}
