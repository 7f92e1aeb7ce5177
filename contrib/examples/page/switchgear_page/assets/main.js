import { show } from "./page.js";

const key = prompt("The admin key");
const api = (path) => fetch(`../../admin/v1/${path}`, { headers: { authorization: `Bearer ${key}` } }).then((it) => it.json());
show(document.querySelector("main"), api);
