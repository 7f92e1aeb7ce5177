import {
  Button, Codes, Copy, Drawer, Empty, Field, JsonInput, Link, Long, NumberInput, Page, Picker, Status, Tag, findIn, html, isAbort, money, number, page, place, setQuery, span, useDraft, useEffect,
  useMemo, useRef, useState,
} from "../kit.js";
import { KeyChoice, playKey, useYourself } from "./playkey.js";
import { ask } from "../kit/ask.js";
import { requestLines } from "./snippets.js";

const MOST = 4;
const TOOL = [{ type: "function", function: { name: "get_weather", description: "The weather at a place", parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] } } }];

const content = (turn) => (turn.images?.length ? [{ type: "text", text: turn.text }, ...turn.images.map((url) => ({ type: "image_url", image_url: { url } }))] : turn.text);

// The body of the request: what is set, and nothing else.
export function bodyOf(model, turns, set) {
  return {
    model,
    messages: [...(set.system ? [{ role: "system", content: set.system }] : []), ...turns.flatMap((turn) => (turn.role === "user" ? [{ role: "user", content: content(turn) }]
      : turn.tools?.length ? [{ role: "assistant", content: turn.text || null, tool_calls: turn.tools.map((it) => ({ id: it.id, type: "function", function: { name: it.name, arguments: it.arguments } })) }, ...turn.tools.map((it) => ({ role: "tool", tool_call_id: it.id, content: it.result ?? "" }))]
        : [{ role: "assistant", content: turn.text }]))],
    ...(set.temperature !== undefined ? { temperature: set.temperature } : {}),
    ...(set.top_p !== undefined ? { top_p: set.top_p } : {}),
    ...(set.max_tokens !== undefined ? { max_tokens: set.max_tokens } : {}),
    ...(set.tools ? { tools: set.tools } : {}),
    ...(set.format ? { response_format: set.format } : {}),
    ...(set.stream === false ? {} : { stream: true }),
  };
}

function Turn({ turn, onResult }) {
  if (turn.role === "user") return html`<div class="turn user"><div class="wrap">${turn.text}</div>${turn.images?.map((url) => html`<img src=${url} alt="What was attached" />`)}</div>`;
  return html`<div class="turn" aria-busy=${turn.busy || undefined}>
    ${turn.reasoning && html`<details><summary class="muted">Reasoning</summary><div class="wrap muted">${turn.reasoning}</div></details>`}
    ${turn.text ? html`<${Long} text=${turn.text} most=${20_000} />` : turn.busy ? html`<span class="muted">…</span>` : null}
    ${turn.tools?.map((it, n) => html`<div key=${n}><p><${Tag}>calls ${it.name}<//></p><pre class="plain wrap">${it.arguments}</pre>${onResult && html`<${Field} label="What it returns">${(id) => html`<input id=${id} value=${it.result || ""} onInput=${(event) => onResult(n, event.target.value)} />`}<//>`}</div>`)}
    ${turn.error && html`<p role="alert"><${Status} value="error">${turn.error}<//></p>`}
    <div class="muted">${[turn.firstMs != null && `first token ${span(turn.firstMs * 1000)}`, turn.tookMs != null && `${span(turn.tookMs * 1000)} in all`, turn.usage && `${number(turn.usage.prompt_tokens)} in, ${number(turn.usage.completion_tokens)} out`,
      turn.cost !== undefined && (turn.cost === null ? "no price known" : money(turn.cost)), turn.finish && turn.finish !== "stop" && `ended by ${turn.finish}`, turn.dropped && `not told: ${turn.dropped}`].filter(Boolean).join(" · ")}
      ${turn.record ? html` · <${Link} to=${["requests"]} query=${{ request: turn.record.id, since: turn.record.at_us - 1e6, until: turn.record.at_us + 1e6 }}>record<//>` : null}${turn.text && !turn.busy ? html` <${Copy} text=${turn.text} />` : null}</div>
  </div>`;
}

function Playground({ api }) {
  useYourself();
  const models = useMemo(() => (place.value.query.models || "").split(",").filter(Boolean).slice(0, MOST), [place.value.query.models]);
  const [draft, setDraft] = useDraft("playground");
  const set = draft?.set || {};
  const put = (changes) => setDraft({ ...draft, set: { ...set, ...changes } });
  const text = draft?.text || "";
  const [chats, setChats] = useState({});
  const [images, setImages] = useState([]);
  const [name, setName] = useState("");
  const [code, setCode] = useState(false);
  const running = useRef(new Map());
  const [busy, setBusy] = useState(false);
  const file = useRef(null);
  useEffect(() => () => running.current.forEach((it) => it.abort()), []);
  const choose = (all) => setQuery({ models: all.join(",") });
  const add = (id) => { if (id && !models.includes(id)) choose([...models, id].slice(0, MOST)); setName(""); };
  const change = (model, how) => setChats((all) => ({ ...all, [model]: how(all[model] || []) }));
  const last = (model, changes) => change(model, (turns) => [...turns.slice(0, -1), { ...turns.at(-1), ...changes }]);
  const record = async (model, requestId) => {
    for (let n = 0; n < 5; n += 1) {
      const { data } = await api("usage", { query: { request_id: requestId, since: Date.now() * 1000 - 3600e6, limit: 1 } }).catch(() => ({ data: [] }));
      if (data[0]) { last(model, { cost: data[0].cost_microusd, record: data[0] }); return; }
      await new Promise((done) => { setTimeout(done, 300); });
    }
  };
  const run = async (model, turns) => {
    const ending = new AbortController();
    running.current.set(model, ending);
    setChats((all) => ({ ...all, [model]: [...turns, { role: "assistant", text: "", busy: true }] }));
    let seen = null;
    try {
      let drawn = 0;
      const so = await ask({ body: bodyOf(model, turns, set), key: playKey.value.secret, signal: ending.signal, onPiece: (it) => { seen = it; if (performance.now() - drawn > 40) { drawn = performance.now(); last(model, { ...it, busy: true }); } } });
      last(model, { ...so, busy: false });
      if (so.requestId) record(model, so.requestId);
    } catch (error) { last(model, { ...(seen || {}), busy: false, error: isAbort(error) ? "stopped" : error.message }); }
    running.current.delete(model);
  };
  const submit = async (event) => {
    event?.preventDefault();
    const pending = models.some((model) => (chats[model] || []).at(-1)?.tools?.length);
    if (!models.length || !playKey.value?.name || (!text.trim() && !pending)) return;
    setBusy(true);
    const turn = text.trim() ? [{ role: "user", text, images }] : [];
    setDraft({ ...draft, set, text: "" });
    setImages([]);
    await Promise.all(models.map((model) => run(model, [...(chats[model] || []), ...turn])));
    setBusy(false);
  };
  const attach = async (event) => {
    for (const one of event.target.files) {
      const reader = new FileReader();
      reader.onload = () => setImages((all) => [...all, reader.result].slice(0, 8));
      reader.readAsDataURL(one);
    }
    event.target.value = "";
  };
  const sample = models[0] ? bodyOf(models[0], [...(chats[models[0]] || []).filter((it) => !it.busy), ...(text ? [{ role: "user", text, images: images.map((it) => `${it.slice(0, 40)}…`) }] : [])], set) : null;
  return html`<${Page} title="Playground" about="Ask several models the same, side by side, as a client would." actions=${html`<${Button} disabled=${!sample} onClick=${() => setCode(true)}>Get code<//><${Button} onClick=${() => setChats({})} disabled=${!Object.keys(chats).length}>Begin anew<//>`}>
    <${KeyChoice} api=${api} />
    <div class="split section">
      <div>
        <div class="bar tools"><span class="picker-box"><${Picker} label="Add a model" value=${name} find=${findIn("callable")} placeholder=${models.length ? "And another model" : "Choose a model"} onChange=${setName} onKeyDown=${(event) => { if (event.key === "Enter") { event.preventDefault(); add(name); } }} /></span><${Button} onClick=${() => add(name)} disabled=${!name || models.length >= MOST}>Add<//></div>
        ${!models.length && html`<${Empty} title="Choose a model">Up to ${MOST}, side by side. <code>echo</code> says what it was told, and costs nothing.<//>`}
        <div class="chat-columns">${models.map((model) => html`<section class="chat" key=${model} aria-label=${model}>
          <div class="bar"><h2 class="grow">${model}</h2><${Link} to=${["simulate"]} query=${{ model }} class="muted">where it goes<//><${Button} kind="quiet" aria-label=${`Take out ${model}`} onClick=${() => choose(models.filter((it) => it !== model))}>✕<//></div>
          ${(chats[model] || []).map((turn, n, all) => html`<${Turn} key=${n} turn=${turn} onResult=${n === all.length - 1 && turn.tools?.length ? (at, result) => last(model, { tools: turn.tools.map((it, m) => (m === at ? { ...it, result } : it)) }) : null} />`)}
        </section>`)}</div>
        <form onSubmit=${submit} class="section"><${Field} label="Message">${(id) => html`<textarea id=${id} rows="4" value=${text} placeholder="Ctrl-Enter sends" onInput=${(event) => setDraft({ ...draft, set, text: event.target.value })} onKeyDown=${(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event); }}></textarea>`}<//>
          ${images.length ? html`<div class="bar">${images.map((url, n) => html`<span class="chip"><img src=${url} alt="" width="32" height="32" /><button type="button" aria-label=${`Take out image ${n + 1}`} onClick=${() => setImages(images.filter((_, m) => m !== n))}>✕</button></span>`)}</div>` : null}
          <div class="bar"><${Button} kind="primary" type="submit" busy=${busy} disabled=${!models.length || !playKey.value?.name}>Send<//>${busy && html`<${Button} onClick=${() => running.current.forEach((it) => it.abort())}>Stop<//>`}
            <input ref=${file} type="file" accept="image/*" multiple hidden onChange=${attach} /><${Button} onClick=${() => file.current.click()}>Attach an image<//></div></form>
      </div>
      <div>
        <${Field} label="System">${(id) => html`<textarea id=${id} rows="3" value=${set.system || ""} onInput=${(event) => put({ system: event.target.value || undefined })}></textarea>`}<//>
        <${Field} label="Temperature">${(id) => html`<${NumberInput} id=${id} value=${set.temperature} placeholder="as usual" onChange=${(it) => put({ temperature: it })} />`}<//>
        <${Field} label="Top p">${(id) => html`<${NumberInput} id=${id} value=${set.top_p} placeholder="as usual" onChange=${(it) => put({ top_p: it })} />`}<//>
        <${Field} label="Longest answer, in tokens">${(id) => html`<${NumberInput} id=${id} whole value=${set.max_tokens} placeholder="as usual" onChange=${(it) => put({ max_tokens: it })} />`}<//>
        <label class="check"><input type="checkbox" checked=${set.stream !== false} onChange=${(event) => put({ stream: event.target.checked ? undefined : false })} /> Stream the answer</label>
        <details class="group section" open=${Boolean(set.tools)}><summary>Tools</summary><${JsonInput} aria-label="Tools" rows=${6} value=${set.tools} onChange=${(it) => put({ tools: it })} />${!set.tools && html`<${Button} kind="link" onClick=${() => put({ tools: TOOL })}>An example<//>`}</details>
        <details class="group" open=${Boolean(set.format)}><summary>Form of the answer</summary><${JsonInput} aria-label="response_format" rows=${4} value=${set.format} onChange=${(it) => put({ format: it })} />${!set.format && html`<${Button} kind="link" onClick=${() => put({ format: { type: "json_object" } })}>JSON<//>`}</details>
      </div>
    </div>
    ${code && sample && html`<${Drawer} title="The same as code" onClose=${() => setCode(false)}><${Codes} texts=${requestLines(sample, "YOUR_KEY")} /><//>`}
  <//>`;
}

export const show = page(Playground);
