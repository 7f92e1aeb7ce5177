import { html, render } from "./kit/dom.js";
import { Shell } from "./shell.js";
import { begin } from "./session.js";
import { applyTheme } from "./theme.js";

applyTheme();
render(html`<${Shell} />`, document.getElementById("app"));
begin();
