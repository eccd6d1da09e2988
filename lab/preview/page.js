// Draws a dashboard's panels from the data in the page. Everything that comes from data is set as text.
"use strict";

const problems = [];
window.addEventListener("error", (event) => problem(event.message));
window.addEventListener("unhandledrejection", (event) => problem(String(event.reason)));
for (const level of ["error", "warn"]) {
  const original = console[level].bind(console);
  console[level] = (...words) => { problem(words.join(" ")); original(...words); };
}

function problem(text) {
  problems.push(text);
  const mark = document.createElement("meta");
  mark.setAttribute("data-problem", text);
  document.head.append(mark);
}

const COLORS = { green: "#73bf69", red: "#f2495c", orange: "#ff9830", blue: "#5794f2", purple: "#b877d9", text: "#d8d9da", transparent: "#73bf69" };
const PALETTE = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a", "#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62"];
const FAINT = "#8e8e96";
const LINE = "#2c3235";

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function digits(value, decimals) {
  if (Number.isInteger(decimals)) return value.toFixed(decimals);
  const size = Math.abs(value);
  const places = size === 0 || Number.isInteger(value) ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.01 ? 3 : 4;
  return String(Number(value.toFixed(places)));
}

function scaled(value, base, units) {
  let at = 0;
  while (Math.abs(value) >= base && at < units.length - 1) { value /= base; at += 1; }
  return [value, units[at]];
}

function seconds(value, decimals) {
  const size = Math.abs(value);
  for (const [limit, length, unit] of [[1e-3, 1e-6, "µs"], [1, 1e-3, "ms"], [60, 1, "s"], [3600, 60, "min"], [86400, 3600, "hours"], [604800, 86400, "days"], [Infinity, 604800, "weeks"]]) {
    if (size < limit) return size === 0 ? "0 s" : `${digits(value / length, decimals)} ${unit}`;
  }
  return String(value);
}

const SUFFIX = { reqps: "req/s", ops: "ops/s", pps: "p/s" };

function shown(value, unit, decimals) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (unit === "percentunit") return `${Number.isInteger(decimals) ? digits(value * 100, decimals) : Number((value * 100).toFixed(2))}%`;
  if (unit === "s") return seconds(value, decimals);
  if (unit === "bytes" || unit === "Bps") {
    const [amount, name] = scaled(value, unit === "bytes" ? 1024 : 1000, unit === "bytes" ? ["B", "KiB", "MiB", "GiB", "TiB"] : ["B", "kB", "MB", "GB", "TB"]);
    return `${digits(amount, decimals)} ${name}${unit === "Bps" ? "/s" : ""}`;
  }
  if (unit === "none" || unit === "string") return digits(value, decimals);
  const [amount, name] = scaled(value, 1000, ["", " K", " M", " G"]);
  return `${digits(amount, decimals)}${name}${SUFFIX[unit] ? ` ${SUFFIX[unit]}` : ""}`;
}

function word(value, mappings) {
  for (const mapping of mappings || []) {
    const found = mapping.options[String(value)];
    if (found) return found;
  }
  return null;
}

function levelColor(value, thresholds) {
  let color = "green";
  for (const step of thresholds?.steps || []) {
    if (step.value === null || step.value === undefined || value >= step.value) color = step.color;
  }
  return COLORS[color] || color;
}

function last(series) {
  for (let at = series.points.length - 1; at >= 0; at -= 1) if (series.points[at][1] !== null) return series.points[at][1];
  return null;
}

function chart(body, option) {
  const place = element("div", undefined, "chart");
  body.append(place);
  const made = echarts.init(place, null, { renderer: "canvas" });
  made.setOption({ animation: false, textStyle: { color: FAINT, fontFamily: "DejaVu Sans, sans-serif" }, ...option });
  return made;
}

function timeAxis(data) {
  return { type: "time", min: data.start, max: data.end, axisLine: { lineStyle: { color: LINE } }, axisLabel: { color: FAINT, hideOverlap: true, formatter: "{HH}:{mm}" }, splitLine: { show: false } };
}

function valueAxis(unit, field, extra) {
  return {
    type: "value", scale: field.min === undefined, min: field.min, max: field.max, splitNumber: 4,
    axisLabel: { color: FAINT, formatter: (value) => shown(value, unit) }, splitLine: { lineStyle: { color: LINE } }, ...extra,
  };
}

function limits(field) {
  if (field.custom?.thresholdsStyle?.mode !== "dashed") return undefined;
  const steps = field.thresholds.steps.filter((step) => step.value !== null && step.value !== undefined);
  const color = field.thresholds.steps.some((step) => step.color === "red") ? COLORS.red : COLORS.orange;
  return { silent: true, symbol: "none", lineStyle: { color, type: "dashed" }, label: { show: false }, data: steps.map((step) => ({ yAxis: step.value })) };
}

function annotations(data) {
  // A series without samples: it carries the marks, and the legend leaves out what has no name.
  const color = (mark) => COLORS[mark.color] || mark.color;
  const line = (mark) => ({ xAxis: mark.start, name: mark.title, lineStyle: { color: color(mark), type: "dashed", width: 1 } });
  const area = (mark) => [{ xAxis: mark.start, itemStyle: { color: color(mark), opacity: 0.12 } }, { xAxis: mark.end }];
  return {
    type: "line", data: [], silent: true,
    markLine: { silent: true, symbol: ["none", "triangle"], symbolSize: 5, label: { show: false }, data: data.marks.map(line) },
    markArea: { silent: true, data: data.marks.filter((mark) => mark.end > mark.start).map(area) },
  };
}

function gaps(points, step) {
  // A hole in the samples is a hole in the curve.
  const result = [];
  for (const point of points) {
    const before = result[result.length - 1];
    if (before && point[0] - before[0] > step * 1.5) result.push([before[0] + 1, null]);
    result.push(point);
  }
  return result;
}

function aligned(panel) {
  // Stacking adds what has the same place in its list: each list gets all moments.
  const moments = [...new Set(panel.series.flatMap((one) => one.points.map((point) => point[0])))].sort((one, other) => one - other);
  for (const series of panel.series) {
    const found = new Map(series.points);
    series.points = moments.map((moment) => [moment, found.get(moment) ?? 0]);
  }
}

function drawGraph(panel, body, data) {
  const field = panel.field;
  const onRight = (series) => series.own["custom.axisPlacement"] === "right";
  const right = panel.series.find(onRight);
  const rightField = right ? { min: 0, max: right.own.max } : {};
  const asBars = field.custom?.drawStyle === "bars";
  const stack = field.custom?.stacking?.mode === "normal";
  if (stack) aligned(panel);
  const moments = panel.series.flatMap((one) => one.points.slice(1).map((point, at) => point[0] - one.points[at][0]));
  const step = moments.length ? Math.min(...moments) : 15000;
  const highest = Math.max(...panel.series.filter((one) => !onRight(one)).flatMap((one) => one.points.map((point) => point[1] ?? 0)), 0);
  const marks = limits(field);
  const limit = marks ? Math.max(...marks.data.map((one) => one.yAxis)) : 0;
  // Like a soft limit: a limit far above the curve must not flatten it.
  const axisField = field.max === undefined && marks && limit <= highest * 20 ? { ...field, max: undefined } : field;
  const shownMarks = marks && (field.max !== undefined || limit <= highest * 20) ? marks : undefined;
  chart(body, {
    color: PALETTE,
    grid: { left: 8, right: 18, top: 10, bottom: 34, containLabel: true },
    legend: { type: "scroll", bottom: 2, left: 4, itemWidth: 12, itemHeight: 3, icon: "rect", textStyle: { color: "#c7d0d9", fontSize: 11 }, pageIconColor: FAINT, pageTextStyle: { color: FAINT } },
    tooltip: { trigger: "axis" },
    xAxis: timeAxis(data),
    yAxis: [
      valueAxis(field.unit, axisField, shownMarks && field.max === undefined ? { max: Math.max(limit, highest) * 1.1 } : {}),
      ...(right ? [valueAxis(right.own.unit, rightField, { position: "right", splitLine: { show: false } })] : []),
    ],
    series: [...panel.series.map((one, at) => ({
      name: one.name,
      type: asBars ? "bar" : "line",
      yAxisIndex: onRight(one) ? 1 : 0,
      stack: stack && !onRight(one) ? "all" : undefined,
      showSymbol: one.points.filter((point) => point[1] !== null).length < 2,
      symbolSize: 5,
      barMaxWidth: 8,
      itemStyle: { color: COLORS[one.own.color?.fixedColor] },
      lineStyle: { width: 1.3, type: onRight(one) ? "dashed" : "solid" },
      areaStyle: onRight(one) || asBars ? undefined : { opacity: stack ? 0.3 : 0.08 },
      markLine: at === 0 ? shownMarks : undefined,
      data: stack ? one.points : gaps(one.points, step),
    })), annotations(data)],
  });
}

function drawNumbers(panel, body) {
  const box = element("div", undefined, "numbers");
  body.append(box);
  for (const series of panel.series) {
    const value = last(series);
    const cell = element("div");
    const color = levelColor(value, panel.field.thresholds);
    box.append(cell);
    if (panel.options.graphMode === "area" && series.points.length > 1) {
      chart(cell, {
        grid: { left: 0, right: 0, top: "55%", bottom: 0 }, xAxis: { type: "time", show: false }, yAxis: { type: "value", show: false, scale: true },
        series: [{ type: "line", showSymbol: false, lineStyle: { color, width: 1 }, areaStyle: { color, opacity: 0.15 }, data: series.points }],
      });
    }
    const text = element("b", word(value, panel.field.mappings)?.text ?? shown(value, panel.field.unit, panel.field.decimals));
    text.style.color = color;
    cell.append(text);
    if (panel.series.length > 1) cell.append(element("i", series.name));
  }
}

function drawBars(panel, body) {
  const found = panel.series.map((series) => [series.name, last(series)]).sort((one, other) => one[1] - other[1]);
  chart(body, {
    grid: { left: 8, right: 70, top: 6, bottom: 6, containLabel: true },
    xAxis: { type: "value", min: panel.field.min, max: panel.field.max, show: false },
    yAxis: { type: "category", data: found.map((one) => one[0]), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: "#c7d0d9", fontSize: 11, width: 180, overflow: "truncate" } },
    series: [{
      type: "bar", barMaxWidth: 18, showBackground: true, backgroundStyle: { color: "#22252b" },
      label: { show: true, position: "right", color: "#d8d9da", formatter: (one) => shown(one.value, panel.field.unit, panel.field.decimals) },
      data: found.map((one) => ({ value: one[1], itemStyle: { color: levelColor(one[1], panel.field.thresholds) } })),
    }],
  });
}

function drawStates(panel, body, data) {
  const names = panel.series.map((series) => series.name);
  const bands = [];
  panel.series.forEach((series, row) => {
    const step = series.points.length > 1 ? series.points[1][0] - series.points[0][0] : 15000;
    for (const [moment, value] of series.points) {
      const color = word(value, panel.field.mappings)?.color || "text";
      const before = bands[bands.length - 1];
      if (before && before.value[0] === row && before.value[3] === color && moment - before.value[2] <= step) before.value[2] = moment + step;
      else bands.push({ value: [row, moment, moment + step, color] });
    }
  });
  chart(body, {
    grid: { left: 8, right: 12, top: 6, bottom: 24, containLabel: true },
    xAxis: timeAxis(data),
    yAxis: { type: "category", data: names, inverse: true, axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: "#c7d0d9", fontSize: 10, interval: 0 } },
    series: [{
      type: "custom", encode: { x: [1, 2], y: 0 }, data: bands,
      renderItem: (_parameters, api) => {
        const start = api.coord([api.value(1), api.value(0)]);
        const end = api.coord([Math.min(api.value(2), data.end), api.value(0)]);
        const high = api.size([0, 1])[1] * 0.8;
        const color = bands[_parameters.dataIndex].value[3];
        return { type: "rect", shape: { x: start[0], y: start[1] - high / 2, width: Math.max(end[0] - start[0], 1), height: high }, style: { fill: COLORS[color] || color, opacity: 0.85 } };
      },
    }],
  });
}

function drawHeat(panel, body) {
  // Buckets hold all that is faster too: what is in a band is the difference to the one below.
  const buckets = panel.series.map((series) => ({ limit: series.name === "+Inf" ? Infinity : Number(series.name), points: series.points })).sort((one, other) => one.limit - other.limit);
  const moments = buckets[0].points.map((point) => point[0]);
  const cells = [];
  buckets.forEach((bucket, row) => {
    bucket.points.forEach((point, at) => {
      const below = row ? buckets[row - 1].points[at]?.[1] ?? 0 : 0;
      cells.push([at, row, Math.max((point[1] ?? 0) - below, 0)]);
    });
  });
  const most = Math.max(...cells.map((cell) => cell[2]), 1);
  chart(body, {
    grid: { left: 8, right: 12, top: 10, bottom: 8, containLabel: true },
    xAxis: { type: "category", data: moments.map((moment) => new Date(moment).toTimeString().slice(0, 5)), axisLabel: { color: FAINT }, axisTick: { show: false } },
    yAxis: { type: "category", data: buckets.map((bucket) => (bucket.limit === Infinity ? "more" : seconds(bucket.limit))), axisLabel: { color: FAINT } },
    visualMap: { show: false, min: 0, max: most, inRange: { color: ["#181b1f", "#5c3a12", "#c15c17", "#ff9830", "#ffcb7d"] } },
    series: [{ type: "heatmap", data: cells }],
  });
}

function drawTable(panel, body) {
  const table = element("table");
  const head = element("tr");
  const { columns, rows } = panel.table;
  const isFigure = columns.map((_column, at) => rows.some((row) => typeof row[at] === "number"));
  columns.forEach((column, at) => head.append(element("th", column.name, isFigure[at] ? "figure" : "")));
  table.append(head);
  for (const row of rows) {
    const line = element("tr");
    row.forEach((value, at) => {
      const own = columns[at].own;
      const named = word(value, own.mappings);
      const cell = element("td", named?.text ?? shown(value, own.unit || panel.field.unit, panel.field.decimals), isFigure[at] ? "figure" : "");
      if (named?.color) cell.style.color = COLORS[named.color] || named.color;
      else if (own.thresholds && typeof value === "number") cell.style.color = levelColor(value, own.thresholds);
      line.append(cell);
    });
    table.append(line);
  }
  body.append(table);
}

function drawLines(panel, body) {
  const box = element("div", undefined, "lines");
  for (const [moment, origin, text] of panel.lines) {
    const line = element("div");
    line.append(element("time", new Date(moment).toISOString().slice(11, 23)), element("u", origin), text);
    box.append(line);
  }
  body.append(box);
}

function inline(text, into) {
  for (const part of text.split(/(\[[^\]]*\]\([^)]*\)|\*\*[^*]*\*\*|`[^`]*`)/)) {
    const link = part.match(/^\[(.*)\]\((.*)\)$/);
    if (link) into.append(element("a", link[1]));
    else if (part.startsWith("**")) into.append(element("b", part.slice(2, -2)));
    else if (part.startsWith("`")) into.append(element("code", part.slice(1, -1)));
    else into.append(part);
  }
}

function drawText(panel, body) {
  const box = element("div", undefined, "prose");
  const list = element("ol");
  box.append(list);
  for (const line of panel.options.content.replace(/\n +/g, " ").split("\n")) {
    const item = line.match(/^\d+\. (.*)$/);
    const made = element(item ? "li" : "div");
    inline(item ? item[1] : line, made);
    (item ? list : box).append(made);
  }
  body.append(box);
}

const DRAW = { timeseries: drawGraph, stat: drawNumbers, bargauge: drawBars, "state-timeline": drawStates, heatmap: drawHeat, table: drawTable, logs: drawLines, text: drawText };

function place(node, at) {
  node.style.gridColumn = `${at.x + 1} / span ${at.w}`;
  node.style.gridRow = `${at.y + 1} / span ${at.h}`;
}

function draw(data) {
  const head = document.getElementById("head");
  head.append(element("h1", data.title), element("p", `${data.about} ${new Date(data.start).toISOString().slice(0, 16)} to ${new Date(data.end).toISOString().slice(11, 16)}. A preview of the dashboard's JSON with live data; not Grafana.`));
  const choices = element("p", undefined, "choices");
  for (const one of data.variables) choices.append(element("span", `${one.label}: All (${one.options.join(", ").slice(0, 90)})`));
  head.append(choices);
  const marked = element("p", undefined, "choices");
  for (const one of data.marks.slice(-12)) {
    const name = element("span", `${new Date(one.start).toISOString().slice(11, 16)} ${one.title}`);
    name.style.color = COLORS[one.color] || one.color;
    marked.append(name);
  }
  head.append(marked);
  const grid = document.getElementById("grid");
  for (const row of data.rows) {
    const heading = element("h2", `▾ ${row.title}`);
    place(heading, row.place);
    grid.append(heading);
  }
  for (const panel of data.panels) {
    const section = element("section");
    section.dataset.panel = panel.id;
    const title = element("h3", panel.title);
    const links = panel.links.filter((link) => link.startsWith("Runbook")).length;
    if (links) title.append(element("small", "↗ runbook, logs"));
    title.title = panel.about;
    const body = element("div", undefined, "body");
    section.append(title, body);
    place(section, panel.place);
    grid.append(section);
    if (panel.empty) {
      body.append(element("div", panel.field.noValue || "No data", "none"));
      section.dataset.state = "empty";
      continue;
    }
    try {
      DRAW[panel.kind](panel, body, data);
      section.dataset.state = body.querySelector("canvas, table, .lines, .prose, .numbers") ? "drawn" : "blank";
    } catch (error) {
      section.dataset.state = "failed";
      console.error(`panel ${panel.id}: ${error.stack}`);
    }
  }
}

draw(JSON.parse(document.getElementById("data").textContent));
