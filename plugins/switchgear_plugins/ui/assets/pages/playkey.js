// The key that the playground calls with: one that was typed in, or one made for a few hours. It is in memory alone.
import { Button, Link, complain, html, session, signal, toast, useState } from "../kit.js";

export const playKey = signal(null);

// Whoever has a session asks as themselves, until they choose a key.
export function useYourself() {
  const { kind, name } = session.value.who || {};
  if (kind === "user" && playKey.value === null) playKey.value = { secret: undefined, id: null, name: `you, ${name}` };
}

export async function makeKey(api, name = "console playground") {
  const made = await api("api-keys", { method: "POST", body: { name, permissions: { models: ["*"] }, tags: ["playground"], expires_at: new Date(Date.now() + 8 * 3600e3).toISOString() } });
  playKey.value = { secret: made.key, id: made.id, name: `${name}, for 8 hours` };
  return playKey.value;
}

export function KeyChoice({ api }) {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const make = async () => { setBusy(true); try { await makeKey(api); toast("Made a key for 8 hours"); } catch (error) { complain(error); } setBusy(false); };
  if (playKey.value?.name) return html`<div class="bar"><span class="muted">Asks with</span> ${playKey.value.id ? html`<${Link} to=${["k", "api-keys", playKey.value.id]}>${playKey.value.name}<//>` : html`<strong>${playKey.value.name}</strong>`} <${Button} kind="link" onClick=${() => { playKey.value = {}; }}>change<//></div>`;
  return html`<form class="note" onSubmit=${(event) => { event.preventDefault(); if (text.trim()) playKey.value = { secret: text.trim(), id: null, name: `${text.trim().slice(0, 8)}…` }; }}>
    <p>Models are asked with an API key, whose permissions and limits hold. It stays in this page's memory.</p>
    <div class="bar"><${Button} kind="primary" onClick=${make} busy=${busy}>Make one for 8 hours<//><span class="muted">or</span>
      <input class="small" type="password" autocomplete="off" aria-label="An API key" placeholder="Paste an API key" value=${text} onInput=${(event) => setText(event.target.value)} /><${Button} type="submit" disabled=${!text.trim()}>Use it<//></div></form>`;
}
