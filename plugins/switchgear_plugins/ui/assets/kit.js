// The kit of parts: what pages of plugins import, the builtin ones and others alike: `import { html, Page } from "../ui/kit.js"`.
export * from "./kit/dom.js";
export { base, client, send, checked, path, id, session, hasKey, useCredentials, Problem, isAbort } from "./kit/api.js";
export { place, go, href, setQuery } from "./kit/router.js";
export * from "./kit/format.js";
export * from "./kit/parts.js";
export * from "./kit/text.js";
export * from "./kit/table.js";
export { SchemaForm, NumberInput, JsonInput, errorsAt, resolve, useDraft, wrongAt } from "./kit/form.js";
export { ResourceForm, secretsOf } from "./kit/editor.js";
export { InputForm, PromptVariables, VariableFields } from "./kit/inputs.js";
export { Picker, findIn, findAmong } from "./kit/picker.js";
export { Who } from "./kit/who.js";
export { Chart, Bar } from "./kit/chart.js";
export { ask, events, namedEvents } from "./kit/ask.js";
export { kinds, kindNamed, describe, offers, placeOf, callables, many } from "./kit/kinds.js";

import { html, render } from "./kit/dom.js";
import { ErrorBoundary } from "./kit/parts.js";

// Makes a component the `show` of a page's module: `export const show = page(Component)`. It gets `api` and the parts of the address
// below; of a panel also `kind`, `resource` and `saved`.
export const page = (Component) => (element, api, below, about) => {
  render(html`<${ErrorBoundary}><${Component} api=${api} below=${below} ...${about} /><//>`, element);
  return () => render(null, element);
};
