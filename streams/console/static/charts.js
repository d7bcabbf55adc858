// Draws what was measured: one chart a rule, with its threshold and bound, from the address in data-charts.
"use strict";
(() => {
  const root = document.querySelector("[data-charts]");
  if (!root) return;
  const texts = root.dataset;
  const make = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  // A token may have one colour for light and one for dark: an element that has it as its colour knows which.
  const probe = document.body.appendChild(make("i", "sr-only"));
  const ink = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
  const formats = { ratio: (v) => (v === null ? "—" : `${(100 * v).toPrecision(3)} %`), seconds: (v) => (v === null ? "—" : `${v} s`), count: (v) => (v === null ? "—" : v.toLocaleString("en")) };
  // Charts share their times, and a column of equal values comes as that value.
  const full = (one, t) => {
    const column = (values) => (Array.isArray(values) ? values : t.map(() => values));
    return { ...one, t, bound: column(one.bound), threshold: column(one.threshold) };
  };
  // Hours and days as everywhere in the console; a day, or a year, stands below where it begins.
  const at = "{HH}:{mm}", day = "{MM}-{DD}", whole = "{YYYY}-{MM}-{DD}";
  const rollovers = (least, shown, year, each) => [least, shown, year, null, each, null, null, null, 1];
  const ticks = [
    rollovers(31536000, "{YYYY}", null, null), rollovers(86400, day, "\n{YYYY}", null),
    rollovers(60, at, `\n${whole}`, `\n${day}`), rollovers(1, "{HH}:{mm}:{ss}", `\n${whole}`, `\n${day}`),
  ];
  const HALF_DAY_S = 43200;
  const begins = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  let drawn = [];
  let series = [];
  const draw = () => {
    for (const one of drawn) one.destroy();
    drawn = [];
    root.replaceChildren();
    // All charts have the same times, so that what happened at once stands at the same place.
    const ends = series.flatMap((one) => [one.t[0], one.t[one.t.length - 1]]);
    const from = Math.min(...ends), until = Math.max(...ends);
    const span = from === until ? [from - HALF_DAY_S, from + HALF_DAY_S] : [from, until];
    for (const one of series) {
      const card = make("div", "plot");
      card.append(make("h3", "", one.name), make("p", "mono dim small", one.rule));
      const canvas = make("div", "canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${one.name}: ${one.rule}`);
      card.append(canvas);
      root.append(card);
      const show = formats[one.unit] || formats.count;
      const axis = { stroke: ink("--dim"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line") }, font: `11px ${getComputedStyle(document.body).fontFamily}` };
      const points = { show: one.t.length < 60, size: 5 };
      const value = (_, v) => show(v ?? null);
      const bounded = one.bound.some((v) => v !== null);
      const options = {
        width: canvas.clientWidth || 320, height: 190,
        series: [
          { label: texts.time, value: `${whole} ${at}` },
          { label: texts.value, stroke: ink("--accent"), width: 1.8, points, value },
          ...(bounded ? [{ label: begins(texts.bound), stroke: ink("--accent"), width: 1.1, dash: [4, 4], points: { show: false }, value }] : []),
          { label: one.threshold_name, stroke: ink("--severe"), width: 1.3, points: { show: one.t.length === 1, size: 5 }, value },
        ],
        axes: [{ ...axis, values: ticks }, { ...axis, size: 58, values: (_, ticks) => ticks.map(show) }],
        // By itself uPlot shows years behind a single time. A part that is chosen with the mouse is shown as it is.
        scales: { x: { range: (_, low, high) => (low > one.t[0] || high < one.t[one.t.length - 1] ? [low, high] : span) }, y: { range: (_, low, high) => [0, Math.max(high || 0, ...one.threshold) * 1.1 || 1] } },
        tzDate: (s) => new Date(s * 1000),
      };
      drawn.push(new uPlot(options, [one.t, one.value, ...(bounded ? [one.bound] : []), one.threshold], canvas));
    }
    root.dataset.drawn = String(series.length);
  };
  fetch(texts.charts, { headers: { Accept: "application/json" } }).then((answer) => {
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }).then((found) => { series = found.series.map((one) => full(one, found.times[one.times])); draw(); }).catch(() => { root.dataset.drawn = "0"; });
  addEventListener("themechange", draw);
  let width = root.clientWidth;
  addEventListener("resize", () => { if (root.clientWidth !== width) { width = root.clientWidth; draw(); } });
})();
