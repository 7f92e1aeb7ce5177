// Tokens that end users have to spend: accounts, what changed each, and changes.
import { Button, Dialog, Empty, Field, Figure, Link, Loaded, NumberInput, Page, Status, Table, Time, Who, go, html, id as escaped, number, page, place, toast, useLoad, useState, wrongAt } from "../ui/kit.js";

const HERE = ["p", "balances", "balances"];
const KINDS = {
  grant: { title: "Grant tokens" }, debit: { title: "Take tokens" }, refund: { title: "Give tokens back" },
  adjustment: { title: "Correct the balance", hint: "Up, or down with a minus, also below 0. A correction says why." },
};
const fresh = () => `console-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;

// One change. The same reference again changes nothing, so that whoever presses twice changes once.
function Change({ api, account, onDone, onClose }) {
  const [form, setForm] = useState({ account: account || "", kind: "grant", reference: fresh() });
  const [state, setState] = useState(null);
  const put = (changes) => setForm({ ...form, ...changes });
  const send = async (event) => {
    event.preventDefault();
    setState({ busy: true });
    const { account: id, kind, ...body } = form;
    try {
      const now = await api(`balances/${escaped(id)}/${kind}`, { method: "POST", body });
      toast(`${id} has ${number(now.balance)} tokens`);
      onDone(now);
    } catch (error) { setState({ error }); }
  };
  const { title, hint } = KINDS[form.kind];
  const wrong = (name) => wrongAt(state?.error?.errors, `/${name}`);
  const text = (name, label, more = {}) => html`<${Field} label=${label} hint=${more.hint} error=${wrong(name)}>${(id, described) => html`<input id=${id} aria-describedby=${described} autocomplete="off" spellcheck=${false} required=${more.required} value=${form[name] || ""} onInput=${(event) => put({ [name]: event.target.value })} />`}<//>`;
  return html`<${Dialog} title=${account ? `Change the balance of ${account}` : "Grant tokens"} onClose=${onClose}><form onSubmit=${send}>
    ${state?.error && !state.error.errors?.length ? html`<p class="field-error" role="alert">${state.error.message}</p>` : null}
    ${account ? html`<${Field} label="What">${(id) => html`<select id=${id} value=${form.kind} onChange=${(event) => put({ kind: event.target.value })}>${Object.entries(KINDS).map(([name, it]) => html`<option value=${name}>${it.title}</option>`)}</select>`}<//>`
      : text("account", "Account", { required: true, hint: "What calls of an end user are told by; it need not have called yet." })}
    <${Field} label="Tokens" hint=${hint} error=${wrong("tokens")}>${(id, described) => html`<${NumberInput} id=${id} whole aria-describedby=${described} value=${form.tokens} onChange=${(to) => put({ tokens: to })} />`}<//>
    ${text("reason", "Reason", { required: form.kind === "adjustment" })}
    ${text("reference", "Reference", { required: true, hint: "An order, a ticket. The same one again changes nothing." })}
    <div class="bar end"><${Button} onClick=${onClose}>Cancel<//><${Button} kind="primary" type="submit" busy=${state?.busy} disabled=${!Number.isInteger(form.tokens)}>${title}<//></div></form><//>`;
}

const signed = (it) => html`<span class=${it.tokens < 0 ? "bad" : "good"}>${it.tokens < 0 ? "−" : "+"}${number(Math.abs(it.tokens))}</span>`;

function One({ api, id }) {
  const found = useLoad((signal) => api(`balances/${escaped(id)}`, { signal }), [id]);
  const [changing, setChanging] = useState(false);
  const [turn, setTurn] = useState(0);
  const load = async ({ cursor, limit, signal }) => { const it = await api(`balances/${escaped(id)}/transactions`, { query: { before: cursor, limit }, signal }); return { data: it.data, next_cursor: it.next_before }; };
  if (found.error?.status === 404) return html`<${Page} title=${id}><${Empty} title=${`${id} has no account`} action=${html`<${Link} to=${HERE} class="button">All balances<//>`}>It gets one with the first tokens that are granted.<//><//>`;
  return html`<${Loaded} from=${found}>${(it) => html`<${Page} title=${id} about=${html`<span class="bar"><${Link} to=${HERE}>All balances<//> <span>since <${Time} at=${it.created_at} /></span></span>`} actions=${html`<${Button} kind="primary" onClick=${() => setChanging(true)}>Change<//>`}>
    <div class="figures"><${Figure} label="Balance" value=${number(it.balance)}>tokens${it.balance < 0 ? html` <${Status} value="error">below nothing<//>` : ""}<//><${Figure} label="Held" value=${number(it.held)}>by calls in flight<//><${Figure} label="Available" value=${number(it.available)}>for new calls${it.available <= 0 ? html` <${Status} value="warn" as="warn">none<//>` : ""}<//></div>
    <${Table} name="balance-transactions" deps=${[id, turn]} load=${load} keyOf=${(one) => one.number}
      columns=${[
        { key: "at", title: "When", align: "fix", show: (one) => html`<${Time} at=${one.at} relative />` }, { key: "kind", title: "What", align: "fix", show: (one) => one.kind.replaceAll("_", " ") }, { key: "tokens", title: "Tokens", align: "num", show: signed }, { key: "balance", title: "Balance", align: "num", show: (one) => number(one.balance) },
        { key: "reference", title: "Reference", show: (one) => (one.kind === "call" ? html`<${Link} to=${["requests"]} query=${{ request: one.reference }}>${one.reference}<//>` : one.reference) }, { key: "reason", title: "Reason" }, { key: "actor", title: "By", show: (one) => html`<${Who} id=${one.actor} />` }, { key: "number", title: "Number", align: "num", hidden: true },
      ]} empty=${html`<${Empty} title="Nothing has changed it yet">Grants, calls and corrections are listed here, each with the balance that it made.<//>`} />
    ${changing && html`<${Change} api=${api} account=${id} onClose=${() => setChanging(false)} onDone=${() => { setChanging(false); found.reload(); setTurn((n) => n + 1); }} />`}<//>`}<//>`;
}

function List({ api }) {
  const [granting, setGranting] = useState(false);
  const [word, setWord] = useState("");
  const open = (event) => { event.preventDefault(); if (word.trim()) go([...HERE, word.trim()]); };
  return html`<${Page} title="Balances" about="Tokens that end users have to spend, and what calls used of them." actions=${html`<${Button} kind="primary" onClick=${() => setGranting(true)}>Grant tokens<//>`}>
    <${Table} name="balances" load=${({ cursor, limit, signal }) => api("balances", { query: { cursor, limit }, signal })} onRow=${(it) => go([...HERE, it.id])}
      tools=${html`<form class="bar" onSubmit=${open}><input class="small" aria-label="Account" placeholder="Whole id of an account" autocomplete="off" spellcheck=${false} value=${word} onInput=${(event) => setWord(event.target.value)} /><${Button} type="submit" kind="small" disabled=${!word.trim()}>Open<//></form>`}
      columns=${[
        { key: "id", title: "Account", show: (it) => html`<${Link} to=${[...HERE, it.id]}>${it.id}<//>` }, { key: "balance", title: "Balance", align: "num", show: (it) => number(it.balance) }, { key: "held", title: "Held by calls", align: "num", show: (it) => number(it.held) },
        { key: "available", title: "Available", align: "num", show: (it) => html`<span class=${it.available <= 0 ? "bad" : ""}>${number(it.available)}</span>` }, { key: "created_at", title: "Since", align: "fix", show: (it) => html`<${Time} at=${it.created_at} relative />` },
      ]} empty=${html`<${Empty} title="No account yet" action=${html`<${Button} kind="primary" onClick=${() => setGranting(true)}>Grant tokens<//>`}>An account is whose tokens calls use up, such as an end user of yours. It begins with the first tokens that are granted.<//>`} />
    ${granting && html`<${Change} api=${api} onClose=${() => setGranting(false)} onDone=${(it) => { setGranting(false); go([...HERE, it.id]); }} />`}<//>`;
}

function Balances({ api }) {
  const id = place.value.parts[HERE.length];
  return id ? html`<${One} key=${id} api=${api} id=${id} />` : html`<${List} api=${api} />`;
}

export const show = page(Balances);
