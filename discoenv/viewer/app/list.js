// The list of runs: search, filters, order, and a picture of all rewards. Its state is in the address.

const COLUMNS = [
  { name: "task", label: "task", value: (run) => run.task.domain || run.name },
  { name: "player", label: "agent · model", value: player },
  { name: "objective", label: "objective", value: (run) => run.task.objective || "" },
  { name: "score", label: "scores over steps", value: (run) => run.best },
  { name: "reward", numeric: true, label: "reward", value: (run) => run.reward },
  { name: "steps", numeric: true, label: "steps", value: (run) => run.steps },
  { name: "seconds", numeric: true, label: "training", value: (run) => run.costs.seconds },
  { name: "tokens", numeric: true, label: "tokens", value: (run) => tokensOf(run.costs) },
  { name: "money", numeric: true, label: "cost", value: (run) => run.costs.money },
  { name: "started", numeric: true, label: "started", value: (run) => (run.started ? Date.parse(run.started) : null) },
];
const FILTERS = [
  { name: "domain", label: "domain", value: (run) => run.task.domain },
  { name: "objective", label: "objective", value: (run) => run.task.objective },
  { name: "player", label: "agent · model", value: player },
  { name: "status", label: "state", value: (run) => STATES[run.status] },
];

const FIRST_RUNS = 200;

class ListView {
  constructor(source, query) {
    this.source = source;
    this.query = query;
    this.runs = [];
    this.chosen = new Set();
    this.root = h("div", { class: "list" });
    this.title = "runs";
    this.most = FIRST_RUNS;
  }

  async refresh() {
    const reply = await this.source.poll("runs");
    if (reply) {
      this.runs = reply.runs;
      this.folder = reply.root;
      this.pending = reply.pending;
      this.stale = true;
    } else {
      for (const time of this.root.querySelectorAll("time")) time.textContent = format.ago(time.dateTime);
    }
    // A select that is open would close if it were made anew.
    if (this.stale && (document.activeElement?.tagName !== "SELECT" || !this.root.firstChild)) this.draw();
    return this.pending ? 100 : null;
  }

  /** Change the address without a step back for each letter. */
  set(name, value) {
    if (value) this.query.set(name, value);
    else this.query.delete(name);
    const query = this.query.toString();
    history.replaceState(null, "", query ? `#/?${query}` : "#/");
    this.draw();
  }

  visible() {
    const words = (this.query.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = FILTERS.filter((filter) => this.query.get(filter.name));
    const found = this.runs.filter((run) => {
      const all = JSON.stringify([
        run.id,
        run.task,
        run.agent,
        run.model,
        run.task_id,
        STATES[run.status],
      ]).toLowerCase();
      return (
        words.every((word) => all.includes(word)) &&
        wanted.every((filter) => filter.value(run) === this.query.get(filter.name))
      );
    });
    const sort = this.query.get("sort") || "-started";
    const column = COLUMNS.find((each) => each.name === sort.replace("-", ""));
    const sign = sort.startsWith("-") ? -1 : 1;
    return column ? found.sort((a, b) => compareValues(column.value(a), column.value(b), sign)) : found;
  }

  draw() {
    this.stale = false;
    const runs = this.visible();
    swap(
      this.root,
      this.heading(),
      this.filters(),
      this.rewards(runs),
      runs.length
        ? this.table(runs)
        : h(
            "p",
            { class: "empty" },
            this.runs.length
              ? "No run matches."
              : this.pending
                ? "Reading the runs …"
                : `No runs in ${this.folder || "this folder"} yet. They appear here as soon as an episode begins.`,
          ),
      this.pending ? h("p", { class: "faint" }, `Reading ${format.plural(this.pending, "more run")} …`) : null,
    );
  }

  heading() {
    const states = Object.keys(STATES)
      .map((state) => [state, this.runs.filter((run) => run.status === state).length])
      .filter(([, count]) => count);
    return h(
      "div",
      { class: "heading" },
      h(
        "div",
        {},
        h("h1", {}, format.plural(this.runs.length, "run")),
        h("p", { class: "faint path" }, this.folder || ""),
      ),
      h(
        "div",
        { class: "states" },
        states.map(([state, count]) => h("span", {}, h("b", {}, count), " ", stateBadge(state))),
      ),
    );
  }

  filters() {
    const search = h("input", {
      type: "search",
      id: "search",
      "data-key": "search",
      placeholder: "Search  ( / )",
      "aria-label": "Search runs",
      value: this.query.get("q"),
      oninput: (event) => this.set("q", event.target.value),
    });
    const selects = FILTERS.map((filter) => {
      const values = [...new Set(this.runs.map(filter.value).filter(Boolean))].sort();
      if (values.length < 2 && !this.query.get(filter.name)) return null;
      const option = (value, label) =>
        h("option", { value, selected: value === (this.query.get(filter.name) || "") }, label);
      return h(
        "select",
        {
          "data-key": filter.name,
          "aria-label": filter.label,
          onchange: (event) => this.set(filter.name, event.target.value),
        },
        option("", `any ${filter.label}`),
        values.map((value) => option(value, value)),
      );
    });
    const pair = [...this.chosen].filter((id) => this.runs.some((run) => run.id === id));
    const compare = h(
      "a",
      {
        class: `button ${pair.length === 2 ? "primary" : "off"}`,
        "aria-disabled": pair.length !== 2 && "true",
        href: pair.length === 2 ? `#/compare/${pair.map(encodeURIComponent).join("/")}` : null,
      },
      pair.length === 2
        ? "Compare the two"
        : pair.length === 1
          ? "Choose one more to compare"
          : "Choose two runs to compare",
    );
    return h("div", { class: "filters", role: "search" }, search, selects, this.source.embedded ? null : compare);
  }

  /** Rewards of all runs on one axis, a row per domain. */
  rewards(runs) {
    const scored = runs.filter((run) => typeof run.reward === "number");
    if (scored.length < 2) return null;
    const groups = [...new Set(scored.map((run) => run.task.domain || run.name))].sort();
    const players = [...new Set(scored.map(player))];
    const width = Math.max(280, (this.root.clientWidth || 1000) - (innerWidth > 820 ? 38 : 26));
    return h(
      "div",
      { class: "card rewards" },
      rewardStrip(
        groups.map((group) => ({
          label: group,
          dots: scored
            .filter((run) => (run.task.domain || run.name) === group)
            .map((run) => ({
              x: run.reward,
              href: runHref(run.id),
              colour: `c${players.indexOf(player(run)) % COLOURS}`,
              tip: [
                [run.name, "", ""],
                [player(run), format.score(run.reward), ""],
              ],
            })),
        })),
        width,
      ),
      players.length > 1
        ? h(
            "div",
            { class: "legend" },
            players
              .slice(0, COLOURS)
              .map((name, index) => h("span", { class: "cut" }, h("span", { class: `key c${index}` }), name)),
          )
        : null,
    );
  }

  table(runs) {
    const sort = this.query.get("sort") || "-started";
    const more = () => {
      this.most += FIRST_RUNS;
      this.draw();
    };
    const heads = COLUMNS.map((column) => {
      const active = sort.replace("-", "") === column.name;
      const down = sort.startsWith("-");
      const next = active && down ? column.name : `-${column.name}`;
      return h(
        "th",
        { class: column.numeric ? "number" : null, "aria-sort": active ? (down ? "descending" : "ascending") : "none" },
        h(
          "button",
          { class: "sort", "data-key": `sort-${column.name}`, onclick: () => this.set("sort", next) },
          column.label,
          active ? (down ? " ↓" : " ↑") : "",
        ),
      );
    });
    return h(
      "div",
      { class: "card runs" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", {}, h("span", { class: "hidden" }, "compare")), heads)),
        h(
          "tbody",
          {},
          runs.slice(0, this.most).map((run) => this.row(run)),
        ),
      ),
      runs.length > this.most
        ? h("button", { class: "more", "data-key": "more", onclick: more }, "Show more runs")
        : null,
    );
  }

  row(run) {
    const toggle = () => {
      if (!this.chosen.delete(run.id)) this.chosen.add(run.id);
      if (this.chosen.size > 2) this.chosen.delete([...this.chosen][0]);
      this.draw();
    };
    const cell = (name, className, ...content) => h("td", { class: className, "data-label": name }, content);
    const good = run.reward === null ? "" : run.reward > 1 ? "good" : run.reward > 0 ? "fair" : "poor";
    return h(
      "tr",
      {
        class: this.chosen.has(run.id) ? "chosen" : null,
        onclick: (event) => event.target.closest("a,input,button,label") || (location.hash = runHref(run.id)),
      },
      h(
        "td",
        { class: "choose" },
        this.source.embedded
          ? null
          : h("input", {
              type: "checkbox",
              "data-key": `choose-${run.id}`,
              checked: this.chosen.has(run.id),
              "aria-label": `Compare ${run.name}`,
              onchange: toggle,
            }),
      ),
      cell(
        "task",
        "task",
        h("a", { href: runHref(run.id), "data-key": `open-${run.id}` }, run.task.domain || run.name),
        stateBadge(run.status),
        chips(run.task.modules || [], 3),
        run.id.includes("/") ? h("span", { class: "faint path" }, run.id.slice(0, run.id.lastIndexOf("/"))) : null,
        run.problem ? h("span", { class: "bad" }, run.problem) : null,
      ),
      cell("agent · model", "player", h("span", { title: player(run) }, player(run))),
      cell(
        "objective",
        "objective",
        run.task.objective || UNKNOWN,
        run.task.scale ? h("small", {}, ` ${run.task.scale}`) : null,
      ),
      cell("scores over steps", "", sparkline(run.scores, run.best)),
      cell("reward", `number reward ${good}`, format.score(run.reward)),
      cell("steps", "number", run.steps, run.max_steps ? h("small", {}, ` / ${run.max_steps}`) : null),
      cell("training", "number", format.seconds(run.costs.seconds)),
      cell("tokens", "number", format.count(tokensOf(run.costs))),
      cell("cost", "number", format.money(run.costs.money)),
      cell(
        "started",
        "number",
        h(
          "time",
          { datetime: run.started, title: run.started ? format.when(run.started) : null },
          format.ago(run.started),
        ),
      ),
    );
  }
}

/** Numbers by size, texts by the alphabet; what is not known comes last either way. */
function compareValues(one, other, sign) {
  const unknown = (value) => value === null || value === undefined || value === UNKNOWN;
  if (unknown(one) || unknown(other)) return Number(unknown(one)) - Number(unknown(other));
  return sign * (typeof one === "string" ? one.localeCompare(other) : one - other);
}

/** Dots on an axis of rewards, one row per group. */
function rewardStrip(groups, width) {
  const rowHeight = 26,
    top = 6,
    bottom = 24;
  const left = Math.min(210, Math.max(...groups.map((group) => group.label.length)) * 7.2 + 16);
  const height = top + groups.length * rowHeight + bottom;
  const [low, high] = scoreRange(groups.flatMap((group) => group.dots.map((each) => each.x)));
  const x = (value) => left + ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (width - left - 14);
  const chart = svg("svg", {
    class: "chart strip",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "group",
    "aria-label": "rewards of all runs",
  });
  for (const value of ticks(low, high, 6)) {
    const name = Math.abs(value) < 1e-9 ? "floor" : Math.abs(value - 1) < 1e-9 ? "" : "grid";
    if (name) chart.append(svg("line", { class: name, x1: x(value), x2: x(value), y1: top, y2: height - bottom }));
    if (Math.abs(x(value) - x(1)) > 46) chart.append(text(x(value), height - 6, format.metric(value), "tick middle"));
  }
  chart.append(
    svg("line", { class: "baseline", x1: x(1), x2: x(1), y1: top, y2: height - bottom }),
    text(x(1), height - 6, "1 baseline", "tick middle strong"),
  );
  for (const [index, group] of groups.entries()) {
    const y = top + (index + 0.5) * rowHeight;
    chart.append(text(left - 12, y + 4, group.label, "tick end strong"));
    for (const each of group.dots) {
      const link = svg(
        "a",
        { href: each.href, class: each.colour, "aria-label": `reward ${format.score(each.x)}` },
        dot(x(each.x), y, 5, false, each.x < low || each.x > high),
      );
      withTip(link, () => each.tip);
      chart.append(link);
    }
  }
  return chart;
}
