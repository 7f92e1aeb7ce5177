import { Button, Empty, Filters, Link, Page, Status, Table, Trouble, html, isAbort, page, place, plural, setQuery, useEffect, useRef, useState } from "../kit.js";
import { COLUMNS, DetailOf, FILTERS, filtersOf } from "./log.js";

const MOST = 200;
const EVERY_MS = 1000;
const BACK_US = 120e6;
// A call is recorded when it ends and listed by when it began, so a little that was looked at is looked at again.

function Live({ api }) {
  const { query } = place.value;
  const filters = filtersOf(query);
  const [rows, setRows] = useState([]);
  const [error, setError] = useState(null);
  const [paused, setPaused] = useState(false);
  const [fresh, setFresh] = useState(0);
  const began = useRef(Date.now() * 1000);
  const key = JSON.stringify(filters);
  useEffect(() => { began.current = Date.now() * 1000; setRows([]); setFresh(0); }, [key]);
  useEffect(() => {
    if (paused) return undefined;
    let timer, over = false;
    const ending = new AbortController();
    const turn = async () => {
      try {
        const since = Math.max(began.current - 10e6, Date.now() * 1000 - BACK_US);
        const { data } = await api("usage", { query: { ...filters, since, limit: 100 }, signal: ending.signal });
        if (over) return;
        setError(null);
        setRows((had) => {
          const known = new Set(had.map((it) => it.id));
          const added = data.filter((it) => !known.has(it.id));
          if (!added.length) return had;
          setFresh((n) => n + added.length);
          const all = [...added, ...had].sort((a, b) => b.at_us - a.at_us);
          const chosen = place.value.query.request;
          return all.length > MOST ? all.filter((it, n) => n < MOST || it.id === chosen) : all;
        });
      } catch (problem) { if (!isAbort(problem) && !over) setError(problem); }
      if (!over) timer = setTimeout(turn, document.hidden ? EVERY_MS * 5 : EVERY_MS);
    };
    turn();
    return () => { over = true; ending.abort(); clearTimeout(timer); };
  }, [key, paused]);
  return html`<${Page} title="Live requests" about="Calls as they end, newest first. The filters hold for what comes; what is chosen stays." actions=${html`<${Status} value=${paused ? "paused" : error ? "error" : "following"} as=${paused ? "idle" : error ? "bad" : "good"} /><${Button} onClick=${() => setPaused(!paused)}>${paused ? "Follow" : "Pause"}<//><${Link} to=${["requests"]} query=${filters} class="button">In the log<//>`}>
    ${error && html`<${Trouble} error=${error} />`}
    <${Table} name="live" columns=${COLUMNS} live=${rows} load=${async () => ({ data: [], next_cursor: null })} deps=${[]} selected=${query.request || null}
      onRow=${(it) => setQuery({ request: it.id })}
      tools=${html`<${Filters} filters=${FILTERS} values=${filters} onChange=${setQuery} />`}
      foot=${html`<span class="muted">${plural(fresh, "call")} since this was opened${rows.length >= MOST ? `; the newest ${MOST} are kept` : ""}</span>`}
      empty=${html`<${Empty} title="Waiting for calls">${Object.keys(filters).length ? "None that fits the filters has come yet." : html`None has come yet. <a href="#/playground">Send one</a> and it appears here.`}<//>`} />
    <${DetailOf} api=${api} rows=${rows} />
  <//>`;
}

export const show = page(Live);
