// Light, dark, or as the system has it.
import { signal } from "./kit/dom.js";

const KEY = "theme";
const read = () => { try { return localStorage.getItem(KEY) || "system"; } catch { return "system"; } };
export const theme = signal(read());

export function applyTheme(to) {
  if (to) {
    theme.value = to;
    try { localStorage.setItem(KEY, to); } catch { /* for this page alone, then */ }
  }
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  dispatchEvent(new Event("themechange"));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
