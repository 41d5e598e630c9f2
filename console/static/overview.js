// Draws the charts of an app's overview from the tables below them. Readers can also open the tables;
// without this script only they are shown.
(() => {
  "use strict";

  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language);
  const height = 170;
  const steps = [1, 2, 5, ...Array.from({ length: 8 }, (_, power) => [10, 20, 25, 50].map((n) => n * 10 ** power)).flat()];

  const numberIn = (element) => Number(element.textContent.replace(/,/g, ""));

  // The newest row is the first; a chart runs from left to right.
  function read(section) {
    const rows = [...section.querySelectorAll("tbody tr")].reverse();
    const figure = (column) => rows.map((row) => numberIn(row.children[column]));
    return {
      labels: rows.map((row) => row.querySelector("time").textContent),
      times: rows.map((row) => new Date(row.querySelector("time").dateTime)),
      registrations: figure(1),
      online: figure(2),
    };
  }

  // Returns the points that get a label: few enough that labels overlap neither each other nor the
  // scale. In the last hour these are the round minutes of the reader's clock.
  function ticks({ times }, byHour, width) {
    if (byHour) {
      const step = width < 340 ? 20 : 10;
      return times.flatMap((time, i) => (i > 3 && time.getMinutes() % step === 0 ? [i] : []));
    }
    const step = width < 340 ? 9 : 5;
    return times.flatMap((_, i) => (i > 2 && (times.length - 1 - i) % step === 0 ? [i] : []));
  }

  function draw(place, data, byHour) {
    const style = getComputedStyle(place);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const values = data[place.dataset.figure];
    const bars = place.dataset.figure === "registrations";
    const said = place.parentElement.querySelector(".at");
    const axis = {
      stroke: colour("muted"),
      font: `12px ${style.fontFamily}`,
      grid: { stroke: colour("line"), width: 1 },
      ticks: { show: false },
    };
    new uPlot({
      width: place.clientWidth,
      height,
      padding: [8, 22, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars } },
      scales: {
        x: { time: false, range: [-0.5, values.length - 0.5] },
        y: { range: (_, low, high) => [0, Math.max(4, high * 1.1)] },
      },
      axes: [
        { ...axis, size: 28, grid: { show: false }, splits: () => ticks(data, byHour, place.clientWidth), values: (_, at) => at.map((i) => data.labels[i]) },
        { ...axis, size: 48, space: 30, incrs: steps, values: (_, at) => at.map((n) => number.format(n)) },
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
      ],
      hooks: {
        setCursor: [({ cursor: { idx } }) => { said.textContent = idx == null ? "" : `${data.labels[idx]}: ${number.format(values[idx])}`; }],
      },
    }, [values.map((_, i) => i), values], place);
  }

  function drawAll() {
    for (const section of document.querySelectorAll("[data-series]")) {
      const data = read(section);
      for (const place of section.querySelectorAll(".plot")) {
        place.replaceChildren();
        draw(place, data, section.dataset.series === "hour");
      }
    }
  }

  drawAll();
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.dataset.poll === "zone") drawAll();
  });

  // The charts are polled less often than the number of users online. Poll them at once if that
  // number exceeds the last minute's.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.dataset.poll === "zone") return;
    const online = numberIn(document.querySelector("#tile-online strong"));
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
