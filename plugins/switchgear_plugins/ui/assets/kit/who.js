// Whose something is: ids of users and keys lead to their pages.
import { html } from "./dom.js";
import { kindNamed } from "./kinds.js";
import { Link } from "./parts.js";

const KINDS = { usr: "users", key: "api-keys" };

export function Who({ id }) {
  if (!id) return html`<span class="muted">–</span>`;
  const kind = KINDS[/^([a-z]+)_/.exec(id)?.[1]];
  return kind && kindNamed(kind) ? html`<${Link} to=${["k", kind, id]}>${id}<//>` : id;
}
