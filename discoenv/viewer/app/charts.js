// Charts of normalised scores: 0 is the floor, 1 the baseline. Scores beyond SHOWN are drawn at its edge, as arrows.

const SHOWN = [-1, 10];
const COLOURS = 8;

/** Equal steps for an axis: about `count` of them. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found;
}

/** Range of an axis of scores that shows the floor, the baseline and all values. */
function scoreRange(values) {
  const known = values.filter(Number.isFinite).map((value) => Math.min(Math.max(value, SHOWN[0]), SHOWN[1]));
  const low = Math.min(0, ...known);
  const high = Math.max(1.2, ...known);
  return [low < 0 ? low - 0.08 : -0.06, high + (high - low) * 0.08];
}

/**
 * Scores over the steps of an episode, and those on the meta-test datasets in a separate column.
 *
 * lines: [{label, colour, thick, points: [{x, y, failed}]}]; marks: [{label, colour, y, error, failed}];
 * levels: [{y, label, colour}], horizontal strokes in the meta-test column; last: the largest step on the axis;
 * selected: a step; href: step -> where a click leads; tip: step -> lines of the tooltip, as [label, text, colour].
 */
function scoresChart({ lines, marks, levels = [], last, selected, href, tip, width, height = 300, label }) {
  const left = 40,
    right = 12,
    top = 14,
    bottom = 30;
  const testWidth = marks.length ? Math.min(150, Math.max(70, marks.length * 18 + 24)) : 0;
  const end = width - right - testWidth - (testWidth ? 10 : 0);
  const values = [
    ...lines.flatMap((line) => line.points.map((point) => point.y)),
    ...marks.flatMap((mark) => [mark.y - (mark.error || 0), mark.y + (mark.error || 0)]),
  ];
  const [low, high] = scoreRange(values);
  const x = (step) => left + ((step - 0.5) / Math.max(last, 1)) * (end - left);
  const y = (value) => top + ((high - Math.min(Math.max(value, low), high)) / (high - low)) * (height - top - bottom);
  const chart = svg("svg", {
    class: "chart",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": label,
  });
  for (const value of ticks(low, high, height > 200 ? 5 : 3)) {
    if (Math.abs(value) < 1e-9 || Math.abs(value - 1) < 1e-9) continue;
    chart.append(
      rule(left, width - right, y(value), "grid"),
      text(left - 8, y(value) + 4, format.metric(value), "tick end"),
    );
  }
  chart.append(
    svg("rect", { class: "above", x: left, y: top, width: end - left, height: Math.max(0, y(1) - top) }),
    rule(left, width - right, y(0), "floor"),
    text(left - 8, y(0) + 4, "0", "tick end"),
    rule(left, width - right, y(1), "baseline"),
    text(left - 8, y(1) + 4, "1", "tick end strong"),
    text(left + 5, y(1) - 5, "baseline", "note"),
    text(left + 5, y(0) - 5, "floor", "note"),
  );
  chart.append(...stepTicks(last, end - left).map((step) => text(x(step), height - 10, String(step), "tick middle")));
  chart.append(text(left - 8, height - 10, "step", "tick end"));
  if (selected >= 1 && selected <= last)
    chart.append(svg("line", { class: "selected", x1: x(selected), x2: x(selected), y1: top, y2: height - bottom }));
  for (const line of lines) chart.append(drawnLine(line, x, y, low, high));
  if (testWidth)
    chart.append(
      testColumn({ marks, levels, from: end + 10, to: width - right, top, bottom: height - bottom, y, low, high }),
    );
  for (let step = 1; step <= last; step += 1)
    chart.append(hit(step, x, (end - left) / last, top, height - bottom, href, tip));
  return chart;
}

function stepTicks(last, width) {
  const every = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000].find((each) => (last / each) * 34 < width) || 5000;
  const found = [];
  for (let step = every; step <= last; step += every) found.push(step);
  return every > 1 ? [1, ...found] : found;
}

function rule(from, to, at, name) {
  return svg("line", { class: name, x1: from, x2: to, y1: at, y2: at });
}

function text(x, y, content, name) {
  return svg("text", { class: name, x, y }, content);
}

function drawnLine(line, x, y, low, high) {
  const group = svg("g", {
    class: `line ${line.thick ? "thick" : ""} ${line.stepped ? "stepped" : ""} ${line.colour}`,
  });
  const points = line.points.filter((point) => Number.isFinite(point.y));
  let path = "";
  for (const [index, point] of points.entries()) {
    if (line.stepped && index) path += `H${x(point.x).toFixed(1)}`;
    path += `${index ? "L" : "M"}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`;
  }
  group.append(svg("path", { d: path }));
  if (line.stepped) return group;
  const size = points.length > 120 ? 1.5 : line.thick ? 4 : 2.6;
  group.append(
    ...points.map((point) => dot(x(point.x), y(point.y), size, point.failed, point.y < low || point.y > high)),
  );
  return group;
}

function dot(x, y, size, failed, beyond) {
  if (failed) {
    const arm = size + 0.8;
    return svg("path", {
      class: "cross",
      d: `M${x - arm} ${y - arm}l${2 * arm} ${2 * arm}M${x + arm} ${y - arm}l${-2 * arm} ${2 * arm}`,
    });
  }
  return svg("circle", { class: beyond ? "dot beyond" : "dot", cx: x, cy: y, r: size });
}

function testColumn({ marks, levels, from, to, top, bottom, y, low, high }) {
  const group = svg(
    "g",
    { class: "test" },
    svg("rect", { class: "test-area", x: from, y: top, width: to - from, height: bottom - top, rx: 6 }),
  );
  group.append(text((from + to) / 2, bottom + 20, "meta-test", "tick middle"));
  for (const level of levels) {
    if (Number.isFinite(level.y))
      group.append(
        svg("line", { class: `level ${level.colour}`, x1: from + 6, x2: to - 6, y1: y(level.y), y2: y(level.y) }),
      );
  }
  for (const [index, mark] of marks.entries()) {
    if (!Number.isFinite(mark.y)) continue;
    const x = from + 12 + ((index + 0.5) / marks.length) * (to - from - 24);
    const error = Number.isFinite(mark.error)
      ? svg("line", { class: "error", x1: x, x2: x, y1: y(mark.y + mark.error), y2: y(mark.y - mark.error) })
      : null;
    const point = svg("g", { class: mark.colour, tabindex: 0, "aria-label": `${mark.label}: ${format.score(mark.y)}` });
    if (error) point.append(error);
    point.append(
      dot(x, y(mark.y), 4.5, mark.failed, mark.y < low || mark.y > high),
      svg("circle", { class: "hit", cx: x, cy: y(mark.y), r: 12 }),
    );
    withTip(point, () => [
      ["meta-test", "", ""],
      [mark.label, scoreWithError(mark.y, mark.error), mark.colour],
    ]);
    group.append(point);
  }
  return group;
}

function hit(step, x, width, top, bottom, href, tip) {
  const area = svg("rect", { class: "hit", x: x(step) - width / 2, y: top, width, height: bottom - top });
  const lines = tip(step);
  if (lines.length) withTip(area, () => tip(step));
  const to = href(step);
  return to ? svg("a", { href: to, tabindex: -1, "aria-hidden": "true" }, area) : area;
}

function scoreWithError(value, error) {
  return format.score(value) + (Number.isFinite(error) ? ` ± ${format.score(error, 2)}` : "");
}

/** Show lines of [label, text, colour] beside an element while it is pointed at or has the focus. */
function withTip(element, lines) {
  const tip = document.getElementById("tip");
  const show = (event) => {
    swap(
      tip,
      lines().map(([label, value, colour]) =>
        h("div", {}, h("span", { class: `key ${colour}` }), h("span", {}, label), h("b", {}, value)),
      ),
    );
    tip.hidden = false;
    const box = element.getBoundingClientRect();
    const at = event.clientX || box.right;
    const over = at + tip.offsetWidth + 20 > document.documentElement.clientWidth;
    tip.style.left = `${Math.max(4, over ? at - tip.offsetWidth - 14 : at + 14)}px`;
    tip.style.top = `${Math.max(4, (event.clientY || box.top) - 12)}px`;
  };
  element.addEventListener("pointermove", show);
  element.addEventListener("focus", show);
  for (const name of ["pointerleave", "blur", "click"]) element.addEventListener(name, () => (tip.hidden = true));
}

/** A small line of scores, with the baseline and a dot at the best run's score. */
function sparkline(scores, best, width = 92, height = 26) {
  if (!scores.length) return h("span", { class: "faint" }, UNKNOWN);
  const [low, high] = scoreRange(scores);
  const x = (index) => 3 + (scores.length > 1 ? index / (scores.length - 1) : 0.5) * (width - 6);
  const y = (value) => 2 + ((high - Math.min(Math.max(value, low), high)) / (high - low)) * (height - 4);
  const points = scores.map((score, index) => `${x(index).toFixed(1)},${y(score).toFixed(1)}`).join(" ");
  const marked = scores.indexOf(best);
  return svg(
    "svg",
    { class: "sparkline", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    rule(0, width, y(1), "baseline"),
    svg("polyline", { points }),
    marked < 0 ? null : svg("circle", { cx: x(marked), cy: y(best), r: 2.6 }),
  );
}

/** A bar of a score from 0 to `most`, with a stroke at the baseline. */
function bar(value, { most = 2, colour = "", error = null } = {}) {
  const width = 200,
    height = 12;
  const at = (score) => 2 + (Math.min(Math.max(score, 0), most) / most) * (width - 4);
  const known = Number.isFinite(value);
  return svg(
    "svg",
    {
      class: `bar ${colour} ${known && value < 1 ? "below" : ""}`,
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    svg("rect", { class: "track", x: 2, y: 2, width: width - 4, height: height - 4, rx: 2 }),
    known ? svg("rect", { class: "value", x: 2, y: 2, width: at(value) - 2, height: height - 4, rx: 2 }) : null,
    known && Number.isFinite(error)
      ? svg("line", { class: "error", x1: at(value - error), x2: at(value + error), y1: height / 2, y2: height / 2 })
      : null,
    svg("line", { class: "baseline", x1: at(1), x2: at(1), y1: 0, y2: height }),
  );
}
