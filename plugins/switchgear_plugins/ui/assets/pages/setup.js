import { Button, Codes, Field, Link, Page, SchemaForm, Status, complain, cx, html, offers, page, useLoad, useState, wrongAt, id as escaped } from "../kit.js";
import { Discovered, Trial } from "./panels.js";
import { ask } from "../kit/ask.js";
import { makeKey, playKey, useYourself } from "./playkey.js";
import { clientLines } from "./snippets.js";

// Types whose providers want nothing but a key.
const PLAIN = new Set(["openai", "anthropic", "openai_compatible"]);

function Step({ number, title, state, children }) {
  return html`<li><span class=${cx("step-mark", state)} aria-hidden="true">${state === "done" ? "✓" : number}</span><div><h2>${title}</h2>${state ? children : null}</div></li>`;
}

function Setup({ api }) {
  const found = useLoad(() => offers(), []);
  const [type, setType] = useState("openai");
  const [key, setKey] = useState("");
  const [address, setAddress] = useState("");
  const [settings, setSettings] = useState({});
  const [provider, setProvider] = useState(null);
  const [model, setModel] = useState(null);
  const [named, setNamed] = useState("");
  const [answer, setAnswer] = useState(null);
  const [errors, setErrors] = useState([]);
  const [busy, setBusy] = useState(false);
  const types = (found.data?.providers || []).filter((it) => it.name !== "echo");
  const offer = types.find((it) => it.name === type);
  const wrong = (name) => wrongAt(errors, `/${name}`);
  const connect = async (event) => {
    event.preventDefault();
    setBusy(true);
    setErrors([]);
    const id = type.replaceAll("_", "-");
    let made = false;
    try {
      const taken = async (kind, name) => { try { await api(`${kind}/${escaped(name)}`); return true; } catch { return false; } };
      let name = id;
      for (let n = 2; (await taken("providers", name)) || (await taken("credentials", name)); n += 1) name = `${id}-${n}`;
      if (key) { await api("credentials", { method: "POST", body: { id: name, type, source: { backend: "encrypted", values: { api_key: key } } } }); made = true; }
      try {
        await api("providers", { method: "POST", body: { id: name, type, ...(key ? { credential_id: name } : {}), ...(address ? { base_url: address } : {}), ...(Object.keys(settings).length ? { settings } : {}) } });
      } catch (error) { if (made) await api(`credentials/${escaped(name)}`, { method: "DELETE" }).catch(() => {}); throw error; }
      setProvider(name);
      setKey("");
    } catch (error) { setErrors(error.errors?.length ? error.errors : [{ pointer: "", detail: error.message }]); }
    setBusy(false);
  };
  const byHand = async (event) => {
    event.preventDefault();
    try { setModel(await api("models", { method: "POST", body: { id: named.split("/").pop().toLowerCase().replace(/[^a-z0-9._-]+/g, "-"), provider_id: provider, provider_model: named } })); } catch (error) { complain(error); }
  };
  const first = async () => {
    setAnswer({ text: "", busy: true });
    try {
      useYourself();
      const own = playKey.value?.name ? playKey.value : await makeKey(api, "console setup");
      const body = { model: model?.id || "echo", messages: [{ role: "user", content: "Say hello in one short sentence." }], stream: true };
      const so = await ask({ body, key: own.secret, signal: api.signal, onPiece: (it) => setAnswer({ ...it, busy: true }) });
      setAnswer({ ...so, busy: false });
    } catch (error) { setAnswer({ text: "", error: error.message, busy: false }); }
  };
  const lost = errors.filter((it) => !/^\/(base_url|settings|source)/.test(it.pointer));
  return html`<${Page} title="Setup" about="From a provider's key to a first answer, here in the browser.">
    <ol class="steps form">
      <${Step} number=${1} title="Connect a provider" state=${provider ? "done" : "now"}>${provider ? html`<div class="bar"><${Link} to=${["k", "providers", provider]}>${provider}<//> <${Trial} api=${api} id=${provider} /></div>`
        : html`<form onSubmit=${connect}><p class="muted">Its secret is stored encrypted, sent to this provider alone and shown to nobody.</p>
          <${Field} label="Provider">${(id, described) => html`<select id=${id} aria-describedby=${described} value=${type} onChange=${(event) => { setType(event.target.value); setSettings({}); setErrors([]); }}>${types.map((it) => html`<option value=${it.name}>${it.summary || it.name}</option>`)}</select>`}<//>
          <${Field} label="Key" error=${wrong("source")} hint=${type === "openai_compatible" ? "Leave it out where the server wants none." : undefined}>${(id, described) => html`<input id=${id} type="password" autocomplete="off" aria-describedby=${described} value=${key} onInput=${(event) => setKey(event.target.value)} />`}<//>
          <${Field} label="Address" error=${wrong("base_url")} hint=${type === "openai_compatible" ? "As https://llm.example.com/v1" : "Only where it is not the vendor's own."}>${(id, described) => html`<input id=${id} type="url" autocomplete="off" aria-describedby=${described} value=${address} onInput=${(event) => setAddress(event.target.value)} />`}<//>
          ${offer?.settings && !PLAIN.has(type) ? html`<details class="group" open=${Boolean(offer.settings.$defs && Object.values(offer.settings.$defs)[0]?.required?.length)}><summary>Settings of ${type}</summary><${SchemaForm} schema=${offer.settings} defs=${offer.settings.$defs || {}} value=${settings} onChange=${setSettings} errors=${errors.filter((it) => it.pointer.startsWith("/settings")).map((it) => ({ ...it, pointer: it.pointer.slice(9) }))} /></details>` : null}
          ${lost.length ? html`<p class="field-error" role="alert">${lost.map((it) => it.detail).join("; ")}</p>` : null}
          <div class="bar"><${Button} kind="primary" type="submit" busy=${busy}>Connect<//><${Button} kind="quiet" onClick=${() => { setProvider("echo"); setModel({ id: "echo" }); }}>Try with the model echo, without one<//></div></form>`}<//>
      <${Step} number=${2} title="Choose a model" state=${model ? "done" : provider ? "now" : ""}>${model ? html`<p>Clients may ask for <${Link} to=${["k", "models", model.id]}>${model.id}<//>.</p>`
        : html`<${Discovered} api=${api} provider=${provider} onAdded=${setModel} asked /><form onSubmit=${byHand} class="bar section"><span class="muted">or by name</span><input class="small" aria-label="The provider's name of a model" placeholder="as gpt-4o" value=${named} onInput=${(event) => setNamed(event.target.value)} /><${Button} type="submit" disabled=${!named}>Add<//></form>`}<//>
      <${Step} number=${3} title="Ask it" state=${answer && !answer.busy && !answer.error ? "done" : model ? "now" : ""}>
        <p class="muted"><q>Say hello in one short sentence.</q></p>
        <${Button} kind="primary" onClick=${first} busy=${answer?.busy}>Ask ${model?.id}<//>
        ${answer && html`<div class="turn" role="status" data-answer><span class="wrap">${answer.text}</span>${answer.error && html`<${Status} value="error">${answer.error}<//>`}</div>`}<//>
      <${Step} number=${4} title="Put it to use" state=${answer && !answer.busy && !answer.error ? "now" : ""}>
        <p><${Link} to=${["k", "api-keys", ""]} query=${{ new: 1 }} class="button">Make a key for an application<//></p>
        <${Codes} texts=${clientLines("YOUR_KEY", model?.id)} />
        <p class="section"><${Link} to=${["requests"]}>See the request in the log<//> · <${Link} to=${["playground"]} query=${{ models: model?.id }}>Go on in the playground<//></p><//>
    </ol>
  <//>`;
}

export const show = page(Setup);
