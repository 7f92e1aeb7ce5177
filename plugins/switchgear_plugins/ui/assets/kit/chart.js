// Charts over time. uPlot is loaded with the first one.
import { html, useEffect, useRef } from "./dom.js";
import { local } from "./format.js";

const two = (it) => String(it).padStart(2, "0");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const PALETTE = Array.from({ length: 8 }, (_, n) => `--series-${n + 1}`);

// `times` are seconds since 1970; `series` are { label, values, show }. Stacked values are added up from below.
export function Chart({ times, series, stacked = false, bars = false, height = 200, show = (it) => it.toLocaleString("en-US"), label, least = 1 }) {
  const box = useRef(null);
  const key = JSON.stringify([times, series.map((it) => [it.label, it.values]), stacked, bars]);
  useEffect(() => {
    let chart = null, over = false, watch = null, redraw = null;
    import("../vendor/uplot.js").then(({ default: UPlot }) => {
      if (over || !box.current) return;
      const whole = (times.at(-1) ?? 0) - (times[0] ?? 0);
      const dated = (at, n) => {
        const it = new Date(at * 1000), day = `${two(it.getMonth() + 1)}-${two(it.getDate())}`, hour = `${two(it.getHours())}:${two(it.getMinutes())}`;
        return whole > 3 * 86400 ? day : n === 0 || hour === "00:00" ? `${hour}\n${day}` : hour;
      };
      const draw = () => {
        if (over || !box.current) return;
        chart?.destroy();
        box.current.replaceChildren();
        const sums = series.map((it) => it.values);
        const drawn = stacked ? sums.map((_, n) => times.map((_t, t) => sums.slice(0, n + 1).reduce((all, one) => all + (one[t] || 0), 0))) : sums;
        const order = stacked ? series.map((_, n) => n).reverse() : series.map((_, n) => n);
        const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
        const narrow = UPlot.paths.bars?.({ size: [0.8, 60] });
        chart = new UPlot({
          width: Math.max(200, box.current.clientWidth), height, padding: [8, 24, 0, 0],
          cursor: { y: false, points: { size: 6 } },
          legend: { show: true, live: true },
          scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : least] } },
          axes: [{ ...axis, values: (_, all) => all.map(dated) }, { ...axis, size: 62, values: (_, all) => all.map((it) => show(it)) }],
          series: [{ label: "at", value: (_, it) => (it ? local(new Date(it * 1000), false) : "") }, ...order.map((n) => {
            const stroke = colour(PALETTE[n % PALETTE.length]);
            return { label: series[n].label, stroke, width: bars ? 0 : 1.5, fill: bars ? stroke : stacked ? stroke : undefined, paths: bars ? narrow : undefined, points: { show: times.length < 2 && !bars },
              value: (_, _v, _s, at) => (at === null || at === undefined ? "" : show(series[n].values[at] ?? 0)) };
          })],
        }, [times, ...order.map((n) => drawn[n])], box.current);
      };
      draw();
      watch = new ResizeObserver(() => { if (!over && chart && box.current && Math.abs(chart.width - box.current.clientWidth) > 2) chart.setSize({ width: Math.max(200, box.current.clientWidth), height }); });
      watch.observe(box.current);
      addEventListener("themechange", draw);
      redraw = draw;
    });
    return () => { over = true; watch?.disconnect(); if (redraw) removeEventListener("themechange", redraw); chart?.destroy(); };
  }, [key]);
  return html`<figure class="chart" role="img" aria-label=${label}><div ref=${box} style=${{ minHeight: `${height + 30}px` }}></div></figure>`;
}

// Share of a whole, drawn as a bar in a table.
export const Bar = ({ part, whole, tone = "" }) => html`<span class=${`meter ${tone}`} aria-hidden="true"><i style=${{ width: `${whole > 0 ? Math.max(0, Math.min(100, (part / whole) * 100)) : 0}%` }}></i></span>`;
