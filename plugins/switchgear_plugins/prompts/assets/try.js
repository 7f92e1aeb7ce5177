// What a prompt says with some values, as it is typed, and how a call refers to it.
import { Code, Field, Loaded, NumberInput, Tag, html, id as escaped, page, pretty, setQuery, place, useEffect, useLoad, useState } from "../ui/kit.js";

const PAUSE_MS = 200;

// What was typed, once nobody has typed for a moment.
function useSettled(value) {
  const [settled, settle] = useState(value);
  useEffect(() => { const timer = setTimeout(() => settle(value), PAUSE_MS); return () => clearTimeout(timer); }, [JSON.stringify(value)]);
  return settled;
}

function Said({ messages, missing, unused }) {
  return html`<div>
    ${missing.length ? html`<p class="note">Still needed: ${missing.map((name) => html`<${Tag}>${name}<//> `)} A call without them is refused.</p>` : null}
    ${unused.length ? html`<p class="muted">In no variable of it: ${unused.join(", ")}.</p>` : null}
    ${messages.map((it, n) => html`<div class="turn" key=${n}><span class="muted">${it.role || "in the role of the reference"}</span><pre class="wrap">${it.content}</pre></div>`)}</div>`;
}

function Try({ api, below: [id] }) {
  const version = place.value.query.as_of ? Number(place.value.query.as_of) : undefined;
  const [values, setValues] = useState({});
  const asked = useSettled({ variables: values, version });
  const found = useLoad((signal) => api(`prompts/${escaped(id)}/render`, { method: "POST", body: asked, signal }), [id, JSON.stringify(asked)]);
  const put = (name, text) => setValues(({ [name]: _, ...rest }) => (text === "" ? rest : { ...rest, [name]: text }));
  const given = Object.keys(values).length ? { variables: values } : {};
  const reference = { role: "system", prompt_id: id, ...given, ...(version ? { version } : {}) };
  return html`<${Loaded} from=${found}>${(it) => html`<div class="split">
    <section><h2>What it says</h2><${Said} ...${it} /></section>
    <div>
      <section><h2>Values</h2>${it.variables.length ? null : html`<p class="muted">It has no variables.</p>`}
        ${it.variables.map(({ name, default: usual }) => html`<${Field} key=${name} label=${name} hint=${usual === null ? undefined : usual === "" ? "May be left empty." : `Else: ${usual}`}>
          ${(field, described) => html`<textarea id=${field} aria-describedby=${described} rows="2" value=${values[name] ?? ""} onInput=${(event) => put(name, event.target.value)}></textarea>`}<//>`)}
        <${Field} label="Version" hint="The newest, if none is said.">${(field, described) => html`<${NumberInput} id=${field} aria-describedby=${described} whole value=${version} onChange=${(to) => setQuery({ as_of: Number.isInteger(to) && to > 0 ? to : "" })} placeholder=${String(it.version)} />`}<//></section>
      <section class="section"><h2>In a call</h2><p class="muted">A message without content that names it stands for it, in every API.</p><${Code} text=${pretty(reference)} label="Copy the reference" /></section>
    </div></div>`}<//>`;
}

export const show = page(Try);
