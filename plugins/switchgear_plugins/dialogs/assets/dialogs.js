// Conversations that the gateway keeps: one's own to read and go on with, and for operators whose there are and what they cost.
import {
  Button, Dialog, Empty, Field, Fragment, Id, JsonView, Link, Loaded, Long, Page, Picker, Status, Table, Tabs, Time, checked, compact, complain, confirm, events, findIn, go, html, id as escaped, isAbort, money,
  page, place, plural, session, toast, useEffect, useLoad, useRef, useState,
} from "../ui/kit.js";

const HERE = ["p", "dialogs", "dialogs"];
const OLDER = 50;

// The API for clients, as whoever has signed in.
const clients = (api) => async (path, options) => (await checked(await api.send(`v1/dialogs${path}`, options))).json();

function Said({ it }) {
  const { role, content, tool_calls: calls } = it.message;
  const texts = typeof content === "string" ? [content] : (content || []).map((part) => part.text ?? `(${part.type})`);
  return html`<div class=${`turn ${role === "user" ? "user" : ""}`}><span class="muted">${role === "assistant" ? it.model || "answer" : role}${it.created_at ? html`, <${Time} at=${it.created_at * 1e6} relative />` : null}
      ${it.cost_microusd ? `, ${money(it.cost_microusd)}` : null} ${it.status === "partial" ? html`<${Status} value="partial">broke off<//>` : null}</span>
    ${texts.map((text, n) => html`<p key=${n}><${Long} text=${text || ""} most=${20_000} /></p>`)}
    ${calls?.length ? html`<${JsonView} value=${calls.map((call) => call.function)} height=${160} />` : null}</div>`;
}

function One({ api, id }) {
  const ask = clients(api);
  const found = useLoad((signal) => ask(`/${escaped(id)}?limit=${OLDER}`, { signal }), [id]);
  const [older, setOlder] = useState([]);
  const [text, setText] = useState("");
  const [going, setGoing] = useState(null);
  const running = useRef(null);
  const isGoing = going !== null && going.after === found.data && !found.error;  // else what was said stands among the messages
  useEffect(() => () => running.current?.abort(), []);
  const send = async (event) => {
    event?.preventDefault();
    const said = text.trim();
    if (!said || isGoing) return;
    const ending = running.current = new AbortController();
    let answer = "";
    setText("");
    setGoing({ said, answer, after: found.data });
    try {
      const response = await checked(await api.send(`v1/dialogs/${escaped(id)}/messages`, { method: "POST", body: { content: said, stream: true }, signal: ending.signal }));
      for await (const data of events(response.body)) {
        if (data === "[DONE]") continue;
        const piece = JSON.parse(data);
        if (piece.error) throw new Error(piece.error.message);
        answer += piece.choices?.[0]?.delta?.content || "";
        setGoing({ said, answer, after: found.data });
      }
    } catch (error) {
      if (!isAbort(error)) complain(error);
      if (!answer) setText(said);
    }
    found.reload();
  };
  const drop = async (it) => {
    if (!(await confirm({ title: `Delete ${it.title || "this dialog"}?`, body: html`<p>All that was said in it is gone for good.</p>`, action: "Delete it", danger: true }))) return;
    try { await ask(`/${escaped(id)}`, { method: "DELETE" }); toast("Deleted"); go(HERE); } catch (error) { complain(error); }
  };
  const before = async (first) => {
    try { const more = await ask(`/${escaped(id)}?limit=${OLDER}&before=${first}`); setOlder((it) => [...more.messages, ...it]); } catch (error) { complain(error); }
  };
  return html`<${Loaded} from=${found}>${(it) => {
    const all = [...older, ...it.messages];
    return html`<${Page} title=${it.title || "Untitled"} about=${html`<span class="bar"><${Link} to=${HERE}>All dialogs<//> <span>with ${it.model}</span> <span>${plural(it.message_count, "message")}, ${money(it.cost_microusd)}${it.unpriced ? `, and ${plural(it.unpriced, "answer")} without a price` : ""}</span> <${Id} value=${it.id} /></span>`}
      actions=${html`<${Button} kind="danger" onClick=${() => drop(it)}>Delete<//>`}>
      ${it.system ? html`<div class="turn"><span class="muted">system</span><p><${Long} text=${it.system} /></p></div>` : null}
      ${all.length && all[0].number > 1 ? html`<p><${Button} kind="link" onClick=${() => before(all[0].number)}>What was said before<//></p>` : null}
      <div aria-live="polite">${all.map((one) => html`<${Said} key=${one.id} it=${one} />`)}
        ${isGoing ? html`<${Fragment}><${Said} it=${{ message: { role: "user", content: going.said } }} /><${Said} it=${{ model: it.model, message: { role: "assistant", content: going.answer || "…" } }} /><//>` : null}</div>
      <form class="section" onSubmit=${send}><${Field} label="Message">${(field) => html`<textarea id=${field} rows="3" value=${text} placeholder="Ctrl-Enter sends" onInput=${(event) => setText(event.target.value)} onKeyDown=${(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(event); }}></textarea>`}<//>
        <div class="bar"><${Button} kind="primary" type="submit" busy=${isGoing} disabled=${!text.trim()}>Send<//>${isGoing && html`<${Button} onClick=${() => running.current.abort()}>Stop<//>`}</div></form>
    <//>`;
  }}<//>`;
}

function Begin({ api, onClose }) {
  const [spec, setSpec] = useState({});
  const put = (name) => (event) => setSpec({ ...spec, [name]: event.target.value || undefined });
  const begin = async (event) => {
    event.preventDefault();
    try { const made = await clients(api)("", { method: "POST", body: spec }); onClose(); go([...HERE, made.id]); } catch (error) { complain(error); }
  };
  return html`<${Dialog} title="New dialog" onClose=${onClose}><form onSubmit=${begin}>
    <${Field} label="With">${(id) => html`<${Picker} id=${id} value=${spec.model} onChange=${(text) => setSpec({ ...spec, model: text || undefined })} find=${findIn("callable")} placeholder="A model or an agent" />`}<//>
    <${Field} label="Title">${(id) => html`<input id=${id} value=${spec.title || ""} onInput=${put("title")} />`}<//>
    <${Field} label="System">${(id) => html`<textarea id=${id} rows="3" onInput=${put("system")}>${spec.system || ""}</textarea>`}<//>
    <div class="bar end"><${Button} onClick=${onClose}>Cancel<//><${Button} kind="primary" type="submit" disabled=${!spec.model}>Begin<//></div></form><//>`;
}

const SUMS = [
  { key: "message_count", title: "Messages", align: "num" }, { key: "tokens", title: "Tokens", align: "num", show: (it) => compact(it.usage.input_tokens + it.usage.output_tokens) },
  { key: "cost_microusd", title: "Cost", align: "num", show: (it) => money(it.cost_microusd) }, { key: "updated_at", title: "Last touched", align: "fix", show: (it) => html`<${Time} at=${it.updated_at * 1e6} relative />` },
];

function Yours({ api }) {
  const load = ({ cursor, limit, signal }) => clients(api)(`?${new URLSearchParams({ limit, ...(cursor ? { cursor } : {}) })}`, { signal });
  return html`<${Table} name="dialogs" load=${load} onRow=${(it) => go([...HERE, it.id])}
    columns=${[{ key: "title", title: "Title", show: (it) => html`<${Link} to=${[...HERE, it.id]}>${it.title || "Untitled"}<//>` }, { key: "model", title: "With" }, ...SUMS]}
    empty=${html`<${Empty} title="No dialog yet">Begin one here. Those of an API key are its own: who has it goes on with them over <code>/v1/dialogs</code>.<//>`} />`;
}

function Everybodys({ api }) {
  const [turn, setTurn] = useState(0);
  const drop = async (it) => {
    if (!(await confirm({ title: `Delete ${it.id}?`, body: html`<p>It is ${it.owner}'s, and all that was said in it is gone for good.</p>`, action: "Delete it", danger: true }))) return;
    try { await api(`dialogs/${escaped(it.id)}`, { method: "DELETE" }); toast("Deleted"); setTurn((n) => n + 1); } catch (error) { complain(error); }
  };
  return html`<${Table} name="dialogs-of-all" deps=${[turn]} load=${({ cursor, limit, signal }) => api("dialogs", { query: { cursor, limit }, signal })}
    columns=${[{ key: "id", title: "ID", show: (it) => html`<${Id} value=${it.id} />` }, { key: "owner", title: "Whose" }, ...SUMS, { key: "drop", title: "", align: "num", show: (it) => html`<${Button} kind="small" onClick=${() => drop(it)}>Delete<span class="sr"> ${it.id}</span><//>` }]}
    empty=${html`<${Empty} title="No dialog yet">Whose dialogs there are and what they cost is listed here; nothing of what is said in them.<//>`} />`;
}

function Dialogs({ api }) {
  const id = place.value.parts[HERE.length];
  const [beginning, setBeginning] = useState(false);
  if (id) return html`<${One} key=${id} api=${api} id=${id} />`;
  const isPerson = session.value.who?.kind === "user";
  const tabs = [
    ...(isPerson ? [{ id: "yours", title: "Yours", show: () => html`<${Yours} api=${api} />` }] : []),
    ...(session.value.who?.limited ? [] : [{ id: "all", title: "Everybody's", show: () => html`<${Everybodys} api=${api} />` }]),
  ];
  return html`<${Page} title="Dialogs" about="Conversations that the gateway keeps." actions=${isPerson ? html`<${Button} kind="primary" onClick=${() => setBeginning(true)}>New dialog<//>` : null}>
    <${Tabs} tabs=${tabs} />${beginning && html`<${Begin} api=${api} onClose=${() => setBeginning(false)} />`}<//>`;
}

export const show = page(Dialogs);
