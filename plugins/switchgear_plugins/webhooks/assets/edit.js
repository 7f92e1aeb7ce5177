// Writing a webhook: of which events it is told is chosen among those that there are.
import { Picker, ResourceForm, findAmong, html, kinds, page, useLoad, useState } from "../ui/kit.js";

// What is announced of any kind, told of each kind.
const ofEachKind = ({ name, of }) => (name.startsWith("KIND.") ? kinds.value.map((kind) => ({ id: name.replace("KIND", kind.name), title: of })) : [{ id: name, title: of }]);

function choicesAmong(announced) {
  const single = announced.flatMap(({ name, when }) => ofEachKind({ name, of: when.split("; data")[0] }));
  const beginnings = [...new Set(single.map((it) => it.id.split(".")[0]))];
  return [{ id: "*", title: "all events" }, ...beginnings.map((name) => ({ id: `${name}.*`, title: `all that begin with ${name}.` })), ...single];
}

function Events({ id, described, value = [], onChange, choices }) {
  const [word, setWord] = useState("");
  const put = (names) => onChange(names.length ? names : undefined);
  const add = (name) => { setWord(""); if (!value.includes(name)) put([...value, name]); };
  const pick = (text) => (choices.some((it) => it.id === text) ? add(text) : setWord(text));
  const key = (event) => { if (event.key === "Enter" && word.trim()) { event.preventDefault(); add(word.trim()); } };
  return html`<div><div class="filters">${value.map((name) => html`<span class="chip" key=${name}>${name}<button type="button" aria-label=${`Take out ${name}`} onClick=${() => put(value.filter((it) => it !== name))}>✕</button></span>`)}</div>
    <${Picker} id=${id} describedBy=${described} value=${word} find=${findAmong(choices)} placeholder="Find an event" onChange=${pick} onKeyDown=${key} /></div>`;
}

function Edit({ api, kind, resource, saved }) {
  const found = useLoad((signal) => api("webhook-events", { signal }), []);
  const own = { events: (it) => html`<${Events} ...${it} choices=${choicesAmong(found.data?.data || [])} />` };
  return html`<${ResourceForm} kind=${kind} api=${api} resource=${resource} own=${own} onSaved=${saved} />`;
}

export const show = page(Edit);
