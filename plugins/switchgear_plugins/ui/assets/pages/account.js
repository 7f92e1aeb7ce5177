// A member's own area: keys, use, limits, and how clients are set up. It works whatever a budget says: nothing here asks a model.
import { Button, Codes, Dialog, Field, Fragment, Link, Loaded, Page, Status, Time, cell, complain, confirm, describe, html, id as escaped, kindNamed, page, session, toast, useLoad, useState, useCredentials } from "../kit.js";
import { UsageOf } from "./panels.js";
import { Standing } from "./standing.js";
import { clientLines } from "./snippets.js";

const MOST_STANDING = 5;

function Keys({ api, user, may }) {
  const [cursor, setCursor] = useState(null);
  const query = user && kindNamed("api-keys")?.filters.includes("owner_id") ? { owner_id: user.id, limit: 50 } : { limit: 10 };
  const found = useLoad((signal) => api("api-keys", { query: { ...query, cursor }, signal }), [cursor]);
  const [shown, setShown] = useState(null);
  const act = async (key, action, body) => {
    try {
      const done = await api(`api-keys/${escaped(key.id)}/${action}`, { method: "POST", body });
      if (done.key) setShown(done);
      else toast(`${key.name}: ${action}`);
      found.reload();
    } catch (error) { complain(error); }
  };
  const rotate = async (key) => {
    if (await confirm({ title: `A new secret for ${key.name}?`, body: html`<p>The old one stays good for an hour, so that you can change it where it is used.</p>`, action: "Make a new secret" })) act(key, "rotate", { overlap_seconds: 3600 });
  };
  const revoke = async (key) => {
    if (await confirm({ title: `Revoke ${key.name}?`, body: html`<p>Whatever uses <code>${key.prefix}…${key.last4}</code> is refused from now on. This is final.</p>`, action: `Revoke ${key.name}`, danger: true })) act(key, "revoke");
  };
  return html`<${Fragment}><${Loaded} from=${found} lines=${3}>${({ data, next_cursor }) => (data.length ? html`<div class="table-box"><table><thead><tr><th>Name</th><th>Secret</th><th>State</th><th>May use</th><th>Last used</th><th>Expires</th><th></th></tr></thead><tbody>${data.map((it) => html`<tr key=${it.id}>
      <td><${Link} to=${["k", "api-keys", it.id]}>${it.name}<//></td><td class="fix"><code>${it.prefix}…${it.last4}</code></td><td><${Status} value=${it.status} /></td><td>${cell(it.permissions.models)}</td><td class="fix">${it.last_used_at ? html`<${Time} at=${it.last_used_at} relative />` : "never"}</td><td class="fix"><${Time} at=${it.expires_at} relative /></td>
      <td class="num">${it.status === "revoked" ? null : html`${may("rotate") && html`<${Button} kind="small" onClick=${() => rotate(it)}>New secret<//>`} ${may("revoke") && html`<${Button} kind="small danger" onClick=${() => revoke(it)}>Revoke<//>`}`}</td></tr>`)}</tbody></table></div>
      ${next_cursor && html`<p><${Button} onClick=${() => setCursor(next_cursor)}>Further keys<//></p>`}`
    : html`<p class="muted">No key yet: make one, and put it into the lines below.</p>`)}<//>
    ${found.data?.data.filter((it) => it.status === "active").slice(0, MOST_STANDING).map((it) => html`<section class="section" key=${it.id}><h3>What is left to ${it.name}</h3><${Standing} api=${api} id=${it.id} /></section>`)}
    ${shown && html`<${Dialog} title=${`New secret of ${shown.name}`} onClose=${() => setShown(null)}><p class="note">This is shown once: keep it now.</p><${Codes} texts=${{ Key: shown.key, ...clientLines(shown.key) }} /><div class="bar end"><${Button} kind="primary" onClick=${() => setShown(null)}>I have it<//></div><//>`}<//>`;
}

function Password({ api }) {
  const [form, setForm] = useState({ current_password: "", new_password: "" });
  const [error, setError] = useState(null);
  const put = (name) => (event) => setForm((it) => ({ ...it, [name]: event.target.value }));
  const change = async (event) => {
    event.preventDefault();
    try {
      const begun = await api("auth/password", { method: "POST", body: form });
      useCredentials({ token: begun.csrf_token });
      setForm({ current_password: "", new_password: "" });
      setError(null);
      toast("The password is changed; other sessions have ended");
    } catch (problem) { setError(problem); }
  };
  return html`<form class="form" onSubmit=${change}>
    <${Field} label="Current password">${(id) => html`<input id=${id} type="password" autocomplete="current-password" required value=${form.current_password} onInput=${put("current_password")} />`}<//>
    <${Field} label="New password" error=${error?.errors?.[0]?.detail || error?.message}>${(id, described) => html`<input id=${id} type="password" autocomplete="new-password" required aria-describedby=${described} value=${form.new_password} onInput=${put("new_password")} />`}<//>
    <${Button} type="submit">Change it<//></form>`;
}

// Nothing is kept of a session that could be listed: all of them end together.
function Sessions({ api }) {
  const end = async () => {
    if (!(await confirm({ title: "Sign out everywhere?", body: html`<p>All of your sessions end, this one too. Your keys stay good.</p>`, action: "Sign out everywhere", danger: true }))) return;
    try { await api("auth/logout", { method: "POST", body: { everywhere: true } }); location.reload(); } catch (problem) { complain(problem); }
  };
  return html`<p class="bar"><${Button} onClick=${end}>Sign out everywhere<//><span class="muted">Ends your sessions in every browser and tool.</span></p>`;
}

function Account({ api }) {
  const { user, name } = session.value.who || {};
  const keys = useLoad(() => describe("api-keys").catch(() => null), []);
  const may = (action) => keys.data?.may(action);
  return html`<${Page} title=${user ? `${user.name || user.username}` : "Your area"} about=${user ? `${user.role} of ${user.team_name}${user.email ? `, ${user.email}` : ""}` : `Signed in with the ${name}. Users have their own keys, use and limits here.`}
      actions=${may("create") && html`<${Link} to=${["k", "api-keys"]} query=${{ new: 1 }} class="button primary">New key<//>`}>
    <section><h2>${user ? "Your keys" : "Keys"}</h2><${Keys} api=${api} user=${user} may=${may} /></section>
    <div class="columns section">
      <section><h2>${user ? "Your use" : "Use of all"}</h2><${UsageOf} api=${api} query=${user ? { user_id: user.id } : {}} /><p><${Link} to=${["requests"]} query=${user ? { user_id: user.id } : {}}>Requests<//> · <${Link} to=${["usage"]} query=${user ? { user_id: user.id } : {}}>Usage and cost<//></p></section>
      <section><h2>Set up a client</h2><p class="muted">Put a key of yours where it says YOUR_KEY; a new key's page has these lines with the key in them.</p><${Codes} texts=${clientLines("YOUR_KEY")} /></section>
    </div>
    ${user && html`<section class="section"><h2>Password</h2><${Password} api=${api} /></section><section class="section"><h2>Sessions</h2><${Sessions} api=${api} /></section>`}
  <//>`;
}

export const show = page(Account);
