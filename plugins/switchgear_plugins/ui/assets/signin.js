import { html, useEffect, useRef, useState } from "./kit/dom.js";
import { session } from "./kit/api.js";
import { place } from "./kit/router.js";
import { Button, Field, Status } from "./kit/parts.js";
import { elsewhere, leave, signIn, signInFirst, signInWithKey } from "./session.js";

// The token of a setup link: #/setup-link?token=…
const linked = () => (place.value.parts[0] === "setup-link" ? place.value.query.token || place.value.parts[1] : null);

const TITLES = { password: "User and password", key: "Admin key", first: "The first administrator" };

export function SignIn() {
  const { expired, ways } = session.value;
  const token = linked();
  const [way, setWay] = useState(token ? "first" : ways?.password && !ways.setup ? "password" : "key");
  const [form, setForm] = useState({ username: token ? "admin" : "", password: "", again: "", key: "" });
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const box = useRef(null);
  useEffect(() => { document.title = "Sign in · Switchgear"; }, []);
  useEffect(() => { box.current?.querySelector("form input:not([hidden])")?.focus(); }, [way]);
  const put = (name) => (event) => setForm((it) => ({ ...it, [name]: event.target.value }));
  const enter = async (event) => {
    event.preventDefault();
    if (way === "first" && form.password !== form.again) { setError(new Error("The two passwords differ.")); return; }
    setBusy(true);
    setError(null);
    try {
      if (way === "key") await signInWithKey(form.key.trim());
      else if (way === "first") await signInFirst(token, form.username, form.password);
      else await signIn(form.username, form.password);
    } catch (refusal) { setError(refusal); setBusy(false); }
  };
  const said = error?.errors?.length ? error.errors.map((it) => it.detail).join("; ") : error?.message;
  return html`<main class="signin" ref=${box}>
    <h1><img src=${new URL("icon.svg", import.meta.url).href} alt="" width="22" height="22" /> Switchgear</h1>
    ${expired && html`<p><${Status} value="expired" as="warn">Your session has ended: sign in again.<//></p>`}
    ${way === "first" && html`<p>Nobody administers this gateway yet. Choose a name and a password: they are yours.</p>`}
    <form onSubmit=${enter} key=${way}>
      ${way === "key" ? html`<input type="text" name="username" autocomplete="username" value="admin-key" hidden />
        <${Field} label="Admin key" error=${said} hint="What ADMIN_KEY was when the gateway started, or an API key that may use the admin API. It stays in this page's memory: a reload asks again.">
          ${(id, described) => html`<input id=${id} type="password" name="key" autocomplete="current-password" required aria-describedby=${described} value=${form.key} onInput=${put("key")} />`}<//>`
        : html`<${Field} label="User">${(id) => html`<input id=${id} name="username" autocomplete="username" autocapitalize="none" spellcheck=${false} required value=${form.username} onInput=${put("username")} />`}<//>
          <${Field} label="Password" error=${way === "password" ? said : undefined}>${(id, described) => html`<input id=${id} type="password" name="password" required autocomplete=${way === "first" ? "new-password" : "current-password"} aria-describedby=${described} value=${form.password} onInput=${put("password")} />`}<//>
          ${way === "first" && html`<${Field} label="The password again" error=${said}>${(id, described) => html`<input id=${id} type="password" required autocomplete="new-password" aria-describedby=${described} value=${form.again} onInput=${put("again")} />`}<//>`}`}
      <${Button} kind="primary" type="submit" busy=${busy}>${way === "first" ? "Begin" : "Sign in"}<//>
    </form>
    ${way !== "first" && (ways?.providers || []).map((it) => html`<p key=${it.id}><a href=${elsewhere(it)} onClick=${leave}>With ${it.title}</a></p>`)}
    ${ways?.password && way !== "first" && html`<p><${Button} kind="link" onClick=${() => { setError(null); setWay(way === "key" ? "password" : "key"); }}>${way === "key" ? `With ${TITLES.password.toLowerCase()}` : "With an admin key"}<//></p>`}
    ${ways?.setup && way !== "first" && html`<p class="muted">Nobody administers this gateway yet. The link that the gateway printed when it started makes the first user.</p>`}
    ${!ways?.password && html`<details><summary>There is no admin key yet</summary><p class="muted">Start the gateway with one of your choice:</p><pre>ADMIN_KEY=choose-a-long-secret switchgear serve</pre></details>`}
  </main>`;
}
