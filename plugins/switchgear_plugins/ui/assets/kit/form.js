// Forms made of a JSON Schema. A value that is left alone is left out, so that the gateway's default holds.
import { html, useEffect, useMemo, useState, useRef, cx, useId } from "./dom.js";
import { title } from "./format.js";
import { Button, Field, Prose } from "./parts.js";
import { Picker, findAmong, findIn } from "./picker.js";

const isNull = (it) => it.type === "null" || it.const === null;

// Follows $ref and takes `null` out: what a field is to be filled with.
export function resolve(schema, defs) {
  let it = schema || {};
  let nullable = false;
  for (let n = 0; n < 20; n += 1) {
    if (it.$ref) {
      const { $ref, ...rest } = it;
      it = { ...(defs[$ref.split("/").pop()] || {}), ...rest };
    } else if (it.anyOf) {
      const inner = it.anyOf.filter((one) => !isNull(one));
      nullable ||= inner.length < it.anyOf.length;
      if (inner.length !== 1) return { ...it, anyOf: inner, nullable };
      const { anyOf, ...rest } = it;
      it = { ...inner[0], ...rest };
    } else break;
  }
  return { ...it, nullable };
}

// What docstrings tell of fields: lines of `name   what it is`, which may go on further in.
export function told(description) {
  const found = {};
  let last = null;
  for (const line of (description || "").split("\n")) {
    const match = /^([a-z][\w, ]*?)\s{2,}(\S.*)$/.exec(line);
    if (match) { for (const name of match[1].split(/,\s*/)) found[name] = match[2]; last = match[1].split(/,\s*/); }
    else if (last && /^\s{3,}\S/.test(line)) for (const name of last) found[name] += ` ${line.trim()}`;
    else last = null;
  }
  return found;
}

const prose = (description) => (description || "").split("\n").filter((line) => !/^([a-z][\w, ]*?)\s{2,}\S/.test(line) && !/^\s{3,}\S/.test(line)).join("\n").trim();

const matches = (pattern, path) => {
  const wanted = pattern.split("."), given = path.split(".");
  return wanted.length === given.length && wanted.every((part, n) => part === "*" || part === given[n]);
};

const pointer = (path) => (path ? `/${path.split(".").join("/")}` : "");

// What is wrong at a JSON pointer or within, with pointers from there; and as one text.
export const errorsAt = (errors, at) => (errors || []).filter((it) => it.pointer === at || it.pointer.startsWith(`${at}/`)).map((it) => ({ ...it, pointer: it.pointer.slice(at.length) }));
export const wrongAt = (errors, at) => errorsAt(errors, at).map((it) => it.detail).join("; ") || undefined;

export const Lost = ({ errors }) => (errors.length ? html`<div class="field-error" role="alert">${errors.map((error) => html`<p>${error.detail}</p>`)}</div>` : null);

// One form: `value` and `onChange`, what is wrong at which JSON pointer, and what fields are about.
export function SchemaForm({ schema, defs, value, onChange, errors = [], references = [], secrets = [], own = {}, skip = [], only, editing = false }) {
  const at = { defs, errors, references, secrets, own, editing };
  const it = resolve(schema, defs);
  return html`<div class="form">
    ${only ? null : html`<${Lost} errors=${errors.filter((error) => !error.pointer)} />`}
    <${Members} it=${it} path="" value=${value || {}} onChange=${onChange} at=${at} skip=${skip} only=${only} />
  </div>`;
}

function Members({ it, path, value, onChange, at, skip = [], only }) {
  const notes = useMemo(() => told(it.description), [it.description]);
  const names = Object.keys(it.properties || {}).filter((name) => !skip.includes(name) && (!only || only.includes(name)));
  const required = new Set(it.required || []);
  const set = (name, to) => {
    const next = { ...value };
    if (to === undefined) delete next[name];
    else next[name] = to;
    onChange(next);
  };
  return names.map((name) => html`<${Member} key=${name} name=${name} schema=${it.properties[name]} path=${path ? `${path}.${name}` : name} value=${value[name]}
    onChange=${(to) => set(name, to)} required=${required.has(name)} note=${notes[name]} at=${at} />`);
}

function Member({ name, schema, path, value, onChange, required, note, at }) {
  const it = resolve(schema, at.defs);
  const wrong = at.errors.filter((error) => error.pointer === pointer(path) || (it.type !== "object" && it.type !== "array" && error.pointer.startsWith(`${pointer(path)}/`)));
  const error = wrong.map((one) => one.detail).join("; ") || undefined;
  const label = title(name);
  const special = Object.entries(at.own).find(([pattern]) => matches(pattern, path))?.[1];
  const hint = note || (it.description && it.type !== "object" ? it.description : undefined);
  const named = html`${label}${required ? html`<span class="needed" title="Needed"> *</span>` : null}`;
  if (special) return html`<${Field} label=${named} hint=${hint} error=${error}>${(id, described) => special({ id, described, value, onChange, path })}<//>`;
  if (it.type === "object" && it.properties && Object.keys(it.properties).length) {
    return html`<${Group} label=${label} it=${it} path=${path} value=${value} onChange=${onChange} at=${at} hint=${note || prose(it.description)} error=${error} />`;
  }
  if (it.type === "array" || (it.type === "object" && typeof it.additionalProperties === "object")) {
    const Part = it.type === "array" ? Items : Pairs;
    return html`<${Parts} label=${label} required=${required} hint=${hint} error=${error}><${Part} it=${it} path=${path} value=${value} onChange=${onChange} at=${at} label=${label} /><//>`;
  }
  return html`<${Field} label=${named} hint=${hint} error=${error}>
    ${(id, described) => html`<${Single} id=${id} described=${described} it=${it} path=${path} value=${value} onChange=${onChange} required=${required} at=${at} />`}<//>`;
}

function Parts({ label, required, hint, error, children }) {
  const id = useId();
  return html`<div class=${cx("field", error && "wrong")} role="group" aria-labelledby=${id}><span class="label" id=${id}>${label}${required ? html`<span class="needed" title="Needed"> *</span>` : null}</span>
    <div>${children}${error && html`<p class="field-error">${error}</p>`}${hint && html`<p class="hint"><${Prose} text=${hint} /></p>`}</div></div>`;
}

function Group({ label, it, path, value, onChange, at, hint, error }) {
  const inside = at.errors.some((one) => one.pointer.startsWith(`${pointer(path)}/`));
  const isSet = value !== undefined && value !== null && Object.keys(value).length > 0;
  return html`<details class=${cx("group", error && "wrong")} open=${isSet || inside}><summary>${label}${isSet ? null : html`<span class="muted"> not set</span>`}</summary>
    ${hint && html`<p class="hint"><${Prose} text=${hint} /></p>`}${error && html`<p class="field-error">${error}</p>`}
    <${Members} it=${it} path=${path} value=${value || {}} onChange=${(to) => onChange(Object.keys(to).length || !it.nullable ? to : undefined)} at=${at} /></details>`;
}

// A field of one value. Numbers are entered as text: the wheel of a mouse changes none.
function Single({ id, described, it, path, value, onChange, required, at, label }) {
  const reference = at.references.find((one) => matches(one.field, path));
  const isSecret = at.secrets.some((one) => matches(one, path));
  const clear = (text) => (text === "" ? undefined : text);
  const usual = it.default === undefined || it.default === null || typeof it.default === "object" ? "" : String(it.default);
  const common = { id, "aria-describedby": described, "aria-label": label };
  if (reference) return html`<${Picker} id=${id} label=${label} describedBy=${described} value=${value} onChange=${(text) => onChange(clear(text))} find=${findIn(reference.kind)} placeholder=${`Find ${reference.kind === "callable" ? "a model" : `one of the ${reference.kind}`}`} />`;
  const choices = it.enum || (it.anyOf?.every((one) => one.const !== undefined) ? it.anyOf.map((one) => one.const) : it.const !== undefined ? [it.const] : null);
  if (choices) {
    return html`<select ...${common} value=${value ?? ""} onChange=${(event) => onChange(choices.find((one) => String(one) === event.target.value))}>
      ${!required || value === undefined ? html`<option value="">${usual ? `default: ${usual}` : "–"}</option>` : null}
      ${choices.map((one) => html`<option value=${String(one)}>${String(one)}</option>`)}</select>`;
  }
  if (it.type === "boolean") {
    if (it.nullable || it.default === undefined || it.default === null) {
      return html`<select ...${common} value=${value === undefined || value === null ? "" : String(value)} onChange=${(event) => onChange(event.target.value === "" ? undefined : event.target.value === "true")}>
        <option value="">as usual</option><option value="true">yes</option><option value="false">no</option></select>`;
    }
    return html`<input type="checkbox" ...${common} checked=${value ?? it.default} onChange=${(event) => onChange(event.target.checked)} />`;
  }
  if (it.type === "integer" || it.type === "number") return html`<${NumberInput} ...${common} value=${value} whole=${it.type === "integer"} onChange=${onChange} placeholder=${usual} />`;
  if (it.format === "date-time") return html`<${MomentInput} ...${common} value=${value} onChange=${onChange} />`;
  if (isSecret) {
    return html`<input type="password" autocomplete="off" ...${common} value=${value ?? ""} placeholder=${at.editing ? "unchanged" : ""} onInput=${(event) => onChange(clear(event.target.value))} />`;
  }
  if (it.type === "string") {
    const long = typeof value === "string" && (value.length > 80 || value.includes("\n"));
    if (long || (it.maxLength || 0) > 2000) return html`<textarea rows="4" ...${common} onInput=${(event) => onChange(clear(event.target.value))}>${value ?? ""}</textarea>`;
    return html`<input type="text" autocomplete="off" spellcheck=${false} ...${common} value=${value ?? ""} placeholder=${usual} onInput=${(event) => onChange(clear(event.target.value))} />`;
  }
  return html`<${JsonInput} ...${common} value=${value} onChange=${onChange} />`;
}

export function NumberInput({ value, onChange, whole = false, ...rest }) {
  const [text, setText] = useState(null);
  const shown = text ?? (value === undefined || value === null ? "" : String(value));
  const enter = (event) => {
    const given = event.target.value.trim();
    setText(event.target.value);
    if (given === "") return onChange(undefined);
    const number = Number(given);
    return onChange(Number.isFinite(number) && (!whole || Number.isInteger(number)) ? number : given);
  };
  return html`<input type="text" inputmode=${whole ? "numeric" : "decimal"} class="number" autocomplete="off" ...${rest} value=${shown} onInput=${enter} onBlur=${() => setText(null)} />`;
}

// A time in the zone of whoever looks, kept in UTC.
function MomentInput({ value, onChange, ...rest }) {
  const shown = useMemo(() => {
    const date = value ? new Date(value) : null;
    if (!date || Number.isNaN(date.getTime())) return "";
    return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  }, [value]);
  return html`<input type="datetime-local" ...${rest} value=${shown} onChange=${(event) => onChange(event.target.value ? new Date(event.target.value).toISOString() : undefined)} />`;
}

export function JsonInput({ value, onChange, rows = 4, ...rest }) {
  const [text, setText] = useState(null);
  const [wrong, setWrong] = useState("");
  const shown = text ?? (value === undefined ? "" : JSON.stringify(value, null, 2));
  const enter = (event) => {
    const given = event.target.value;
    setText(given);
    if (!given.trim()) { setWrong(""); return onChange(undefined); }
    try { const parsed = JSON.parse(given); setWrong(""); return onChange(parsed); } catch (error) { return setWrong(error.message); }
  };
  return html`<div><textarea class="mono" rows=${Math.max(rows, Math.min(24, shown.split("\n").length))} spellcheck=${false} placeholder="JSON" ...${rest} onInput=${enter} onBlur=${() => { if (!wrong) setText(null); }}>${shown}</textarea>
    ${wrong && html`<p class="field-error" role="alert">No JSON: ${wrong}</p>`}</div>`;
}

// Of several shapes, each told by one value of the same member: which member that is, and the shapes by its value.
export function variants(it, defs) {
  const tag = it.discriminator?.propertyName;
  if (!it.anyOf || !tag) return null;
  const shapes = it.anyOf.map((one) => resolve(one, defs));
  const named = (one) => { const said = one.properties?.[tag]; return said?.const ?? said?.enum?.[0]; };
  return { tag, shapes: Object.fromEntries(shapes.map((one) => [named(one), one])) };
}

function Variant({ found, path, value, onChange, at, label }) {
  const now = value?.[found.tag];
  const shape = found.shapes[now];
  return html`<div><${Field} label=${title(found.tag)}>${(id) => html`<select id=${id} value=${now || ""} onChange=${(event) => onChange({ [found.tag]: event.target.value })}><option value="">–</option>${Object.keys(found.shapes).map((name) => html`<option value=${name}>${name.replaceAll("_", " ")}</option>`)}</select>`}<//>
    ${shape && html`<${Members} it=${shape} path=${path} value=${value} onChange=${(to) => onChange({ [found.tag]: now, ...to })} at=${at} skip=${[found.tag]} />`}</div>`;
}

function Items({ it, path, value, onChange, at, label }) {
  const list = Array.isArray(value) ? value : [];
  const inner = resolve(it.items || {}, at.defs);
  const isObject = inner.type === "object" && inner.properties;
  const shapes = variants(inner, at.defs);
  const box = useRef(null);
  const [grown, setGrown] = useState(0);
  useEffect(() => { if (grown) box.current?.querySelector(".item:last-of-type :is(input, textarea, select)")?.focus(); }, [grown]);
  const set = (n, to) => onChange(list.map((one, m) => (m === n ? to : one)));
  const drop = (n) => { const left = list.filter((_, m) => m !== n); onChange(left.length ? left : undefined); };
  const move = (n, step) => { const next = [...list]; [next[n], next[n + step]] = [next[n + step], next[n]]; onChange(next); };
  const add = () => { onChange([...list, isObject || shapes ? {} : inner.type === "string" ? "" : null]); setGrown((n) => n + 1); };
  return html`<div class="items" ref=${box}>${list.map((one, n) => {
    const wrong = at.errors.find((error) => error.pointer === pointer(`${path}.${n}`))?.detail;
    return html`<div class="item" key=${n}>
      <div class="grow">${shapes ? html`<${Variant} found=${shapes} path=${`${path}.${n}`} value=${one || {}} onChange=${(to) => set(n, to)} at=${at} label=${`${label} ${n + 1}`} />` : isObject ? html`<${Members} it=${inner} path=${`${path}.${n}`} value=${one || {}} onChange=${(to) => set(n, to)} at=${at} />`
        : html`<${Single} it=${inner} path=${`${path}.${n}`} value=${one ?? undefined} onChange=${(to) => set(n, to ?? "")} required at=${at} label=${`${label} ${n + 1}`} />`}
        ${wrong && html`<p class="field-error">${wrong}</p>`}</div>
      ${(isObject || shapes) && html`<${Button} kind="quiet" disabled=${n === 0} onClick=${() => move(n, -1)} aria-label=${`Move ${label} ${n + 1} up`}>↑<//>`}
      <${Button} kind="quiet" onClick=${() => drop(n)} aria-label=${`Take out ${label} ${n + 1}`}>✕<//></div>`;
  })}<${Button} kind="link" onClick=${add}>Add<span class="sr"> to ${label}</span><//></div>`;
}

function Pairs({ it, path, value, onChange, at, label }) {
  const inner = resolve(it.additionalProperties, at.defs);
  const choices = it.propertyNames?.enum;
  const [rows, setRows] = useState(null);
  const shown = rows ?? Object.entries(value || {});
  const put = (next) => {
    setRows(next);
    const kept = next.filter(([name]) => name !== "");
    onChange(kept.length ? Object.fromEntries(kept) : undefined);
  };
  useEffect(() => { if (rows && JSON.stringify(Object.fromEntries(rows.filter(([name]) => name !== ""))) !== JSON.stringify(value || {})) setRows(null); }, [value]);
  const nested = inner.type === "object" && inner.properties;
  return html`<div class="items">${shown.map(([name, one], n) => {
    const wrong = at.errors.find((error) => error.pointer === pointer(`${path}.${name}`))?.detail;
    return html`<div class="item" key=${n}>
      ${choices ? html`<select aria-label=${`Name ${n + 1} in ${label}`} value=${name} onChange=${(event) => put(shown.map((row, m) => (m === n ? [event.target.value, row[1]] : row)))}><option value="">–</option>${choices.map((it2) => html`<option>${it2}</option>`)}</select>`
        : html`<input class="name" type="text" placeholder="name" autocomplete="off" spellcheck=${false} aria-label=${`Name ${n + 1} in ${label}`} value=${name} onInput=${(event) => put(shown.map((row, m) => (m === n ? [event.target.value, row[1]] : row)))} />`}
      <div class="grow">${nested ? html`<${Members} it=${inner} path=${`${path}.${name}`} value=${one || {}} onChange=${(to) => put(shown.map((row, m) => (m === n ? [row[0], to] : row)))} at=${at} />`
        : html`<${Single} it=${inner} path=${`${path}.${name}`} value=${one} onChange=${(to) => put(shown.map((row, m) => (m === n ? [row[0], to ?? ""] : row)))} required at=${at} label=${`Value of ${name || n + 1} in ${label}`} />`}
        ${wrong && html`<p class="field-error">${wrong}</p>`}</div>
      <${Button} kind="quiet" onClick=${() => put(shown.filter((_, m) => m !== n))} aria-label=${`Take out ${name || n + 1} of ${label}`}>✕<//></div>`;
  })}<${Button} kind="link" onClick=${() => setRows([...shown, ["", inner.type === "string" ? "" : undefined]])}>Add<span class="sr"> to ${label}</span><//></div>`;
}

// ----- drafts: what was begun and not saved survives a refresh of this tab; secrets are left out.

const strip = (value, secrets, path = "") => {
  if (Array.isArray(value)) return value.map((it, n) => strip(it, secrets, path ? `${path}.${n}` : String(n)));
  if (!value || typeof value !== "object") return value;
  const kept = {};
  for (const [name, it] of Object.entries(value)) {
    const below = path ? `${path}.${name}` : name;
    if (!secrets.some((pattern) => matches(pattern, below))) kept[name] = strip(it, secrets, below);
  }
  return kept;
};

export function useDraft(name, secrets = []) {
  const key = `draft:${name}`;
  const [draft, setDraft] = useState(() => { try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; } });
  const put = (value) => {
    setDraft(value);
    try {
      if (value === null) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, JSON.stringify(strip(value, secrets)));
    } catch { /* no room: the form itself still has it */ }
  };
  return [draft, put];
}

export { findAmong, findIn, Picker };
