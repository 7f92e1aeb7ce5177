import { html, useEffect, useRef, useState } from "./kit/dom.js";
import { session } from "./kit/api.js";
import { Button, Field, Status } from "./kit/parts.js";
import { signInWithKey } from "./session.js";

export function SignIn() {
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const box = useRef(null);
  useEffect(() => { document.title = "Sign in · Switchgear"; box.current?.querySelector("input")?.focus(); }, []);
  const enter = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try { await signInWithKey(key.trim()); } catch (refusal) { setError(refusal); setBusy(false); }
  };
  return html`<main class="signin" ref=${box}>
    <h1><img src=${new URL("icon.svg", import.meta.url).href} alt="" width="22" height="22" /> Switchgear</h1>
    ${session.value.expired && html`<p><${Status} value="expired" as="warn">Your session has ended.<//></p>`}
    <form onSubmit=${enter}>
      <input type="text" name="username" autocomplete="username" value="admin" hidden />
      <${Field} label="Admin key" error=${error?.message} hint="What ADMIN_KEY was when the gateway started, or an API key that may use the admin API. It stays in this page's memory alone.">
        ${(id, described) => html`<input id=${id} type="password" name="key" autocomplete="current-password" required aria-describedby=${described} value=${key} onInput=${(event) => setKey(event.target.value)} />`}<//>
      <${Button} kind="primary" type="submit" busy=${busy}>Sign in<//>
    </form>
    <details><summary>There is no admin key yet</summary><p class="muted">Start the gateway with one of your choice:</p><pre>ADMIN_KEY=choose-a-long-secret switchgear serve</pre></details>
  </main>`;
}
