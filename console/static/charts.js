// Draws the charts of an app from the tables below them. Readers can also open the tables; without this
// script only they are shown.
(() => {
  "use strict";

  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language);
  const compact = new Intl.NumberFormat(language, { notation: "compact" });
  // The labels below a chart are shorter than those of the table, so that they do not overlap.
  const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const short = {
    minutes: clock,
    hours: clock,
    days: { month: "short", day: "numeric" },
    weeks: { month: "short", day: "numeric" },
  };
  const height = 170;
  const steps = [1, 2, 5, ...Array.from({ length: 8 }, (_, power) => [10, 20, 25, 50].map((n) => n * 10 ** power)).flat()];

  // numberIn returns the number in a cell, or null if it is not known.
  const numberIn = (element) => (/\d/.test(element.textContent) ? Number(element.textContent.replace(/,/g, "")) : null);

  // The newest row is the first; a chart runs from left to right.
  function read(section) {
    const list = section.querySelector("[data-show]");
    const { show: unit, zone } = list.dataset;
    const rows = [...list.rows].reverse();
    const labels = rows.map((row) => row.querySelector("time").textContent);
    const times = rows.map((row) => new Date(row.querySelector("time").dateTime));
    const format = new Intl.DateTimeFormat(language, { ...short[unit], timeZone: unit === "minutes" ? undefined : zone });
    return {
      unit,
      labels,
      times,
      below: times.map((time) => format.format(time)),
      column: (at) => rows.map((row) => numberIn(row.children[at])),
    };
  }

  // widest returns the width of the widest label.
  function widest(labels, font) {
    const context = document.createElement("canvas").getContext("2d");
    context.font = font;
    return Math.ceil(Math.max(0, ...labels.map((text) => context.measureText(text).width)));
  }

  // ticks returns the points that get a label: few enough that labels overlap neither each other nor the
  // scale. Of minutes these are the round ones of the reader's clock.
  function ticks({ times, unit }, width, label) {
    if (unit === "minutes") {
      const step = width < 260 ? 20 : 10;
      return times.flatMap((time, i) => (i > 3 && time.getMinutes() % step === 0 ? [i] : []));
    }
    const point = width / times.length;
    const step = Math.ceil((label + 8) / point);
    return times.flatMap((_, i) => ((i + 0.5) * point >= label / 3 && (times.length - 1 - i) % step === 0 ? [i] : []));
  }

  function draw(place, data) {
    const style = getComputedStyle(place);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const values = data.column(place.dataset.column);
    const before = place.dataset.before ? data.column(place.dataset.before) : [];
    const compared = before.some((n) => n !== null);
    const bars = "bars" in place.dataset;
    const said = place.parentElement.querySelector(".at");
    const say = (n) => (n === null ? "–" : number.format(n));
    const axis = {
      stroke: colour("muted"),
      font: `12px ${style.fontFamily}`,
      grid: { stroke: colour("line"), width: 1 },
      ticks: { show: false },
    };
    const scale = 48;
    const label = widest(data.below, axis.font);
    const right = Math.ceil(label / 2) + 2; // of the last label
    new uPlot({
      width: place.clientWidth,
      height,
      padding: [8, right, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars } },
      scales: {
        x: { time: false, range: [-0.5, values.length - 0.5] },
        y: { range: (_, low, high) => [0, Math.max(4, high * 1.1)] },
      },
      axes: [
        { ...axis, size: 28, grid: { show: false }, splits: () => ticks(data, place.clientWidth - scale - right, label), values: (_, at) => at.map((i) => data.below[i]) },
        { ...axis, size: scale, space: 30, incrs: steps, values: (_, at) => at.map((n) => (n < 100_000 ? number : compact).format(n)) },
      ],
      series: [
        {},
        {
          stroke: colour("accent"),
          fill: `${colour("accent")}${bars ? "b0" : "26"}`,
          width: bars ? 0 : 2,
          points: { show: false },
          paths: bars ? uPlot.paths.bars({ size: [0.7, 24] }) : uPlot.paths.linear(),
        },
        ...(compared ? [{ stroke: colour("muted"), width: 1.5, dash: [4, 4], points: { show: false } }] : []),
      ],
      hooks: {
        setCursor: [({ cursor: { idx } }) => {
          said.textContent = idx == null ? "" : `${data.labels[idx]}: ${say(values[idx])}${compared ? ` (${say(before[idx])})` : ""}`;
        }],
      },
    }, [values.map((_, i) => i), values, ...(compared ? [before] : [])], place);
  }

  function drawAll() {
    for (const section of document.querySelectorAll("[data-series]")) {
      const data = read(section);
      for (const place of section.querySelectorAll(".plot")) {
        place.replaceChildren();
        draw(place, data);
      }
    }
  }

  drawAll();
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.dataset.poll === "zone") drawAll();
  });

  // On the overview, the charts are polled less often than the number of users online. Poll them at once
  // if that number exceeds the last minute's.
  document.addEventListener("htmx:afterSwap", (event) => {
    const tile = document.querySelector("#tile-online strong");
    if (event.target.dataset.poll === "zone" || !tile) return;
    const online = numberIn(tile);
    const peak = numberIn(document.querySelector("#hour-rows tr td:last-child"));
    if (online > peak) htmx.trigger("[data-poll=zone]", "refresh");
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width !== innerWidth) drawAll();
    width = innerWidth;
  });
})();
