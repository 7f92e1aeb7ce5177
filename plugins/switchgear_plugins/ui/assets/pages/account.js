import { Page, Status, html, page, session } from "../kit.js";

function Account() {
  const who = session.value.who;
  return html`<${Page} title="Your account"><dl class="facts"><dt>Signed in with</dt><dd>${who?.name}</dd></dl><//>`;
}

export const show = page(Account);
