const key = prompt("The admin key");
const api = (path) => fetch(`../../admin/v1/${path}`, { headers: { authorization: `Bearer ${key}` } }).then((it) => it.json());
const { data } = await api("models");
document.querySelector("main").textContent = `${data.length} models`;
