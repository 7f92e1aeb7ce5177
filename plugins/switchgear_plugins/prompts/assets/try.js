// What a prompt says with some values, in any of its versions, and how a call refers to it.
import { Code, Field, Link, NumberInput, Skeleton, Trouble, html, id as escaped, page, place, pretty, setQuery } from "../ui/kit.js";
import { Said, Values, useRendered, useValues } from "./said.js";

function Try({ api, below: [id] }) {
  const version = place.value.query.as_of ? Number(place.value.query.as_of) : undefined;
  const [values, put] = useValues(id);
  const asked = { variables: values, version };
  const { it, errors } = useRendered((signal) => api(`prompts/${escaped(id)}/render`, { method: "POST", body: asked, signal }), JSON.stringify([id, asked]));
  if (!it && !errors.length) return html`<${Skeleton} />`;
  const given = Object.keys(values).length ? { variables: values } : {};
  const reference = { role: "system", prompt_id: id, ...given, ...(version ? { version } : {}) };
  return html`<div class="halves">
    <div><section aria-live="polite"><h2>What it says</h2>${errors.map((one) => html`<${Trouble} error=${{ message: one.detail }} />`)}${it && html`<${Said} it=${it} />`}</section>
      <section class="section"><h2>In a call</h2><p class="muted">A message without content that names it stands for it, in every API. <${Link} to=${["usage"]} query=${{ label: "prompt_version", "labels.prompt": id }}>What its calls cost, by version<//>.</p><${Code} text=${pretty(reference)} label="Copy the reference" /></section></div>
    <section><h2>Values</h2>${it && html`<${Values} variables=${it.variables} values=${values} put=${put} />`}
      <${Field} label="Version" hint="The newest, if none is said.">${(field, described) => html`<${NumberInput} id=${field} aria-describedby=${described} whole value=${version} onChange=${(to) => setQuery({ as_of: Number.isInteger(to) && to > 0 ? to : "" })} placeholder=${String(it?.version ?? "")} />`}<//></section></div>`;
}

export const show = page(Try);
