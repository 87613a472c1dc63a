// What several views share: states, names of runs, tables of scores, collapsible texts.

const STATES = {
  running: "running",
  done: "done",
  left: "left",
  crashed: "crashed",
  infra_error: "machine failed",
  unreadable: "unreadable",
};
const LONG_TEXT = 4000;

function stateBadge(state) {
  return h("span", { class: `state ${STATES[state] ? state : ""}` }, STATES[state] || state);
}

function runHref(id, step = null) {
  return `#/run/${encodeURIComponent(id)}${step === null ? "" : `/step/${step}`}`;
}

function chips(names, most = 99) {
  const shown = names.slice(0, most).map((name) => h("span", { class: "chip" }, name));
  return h(
    "span",
    { class: "chips" },
    shown,
    names.length > most
      ? h("span", { class: "chip faint", title: names.slice(most).join(", ") }, `+${names.length - most}`)
      : null,
  );
}

/** Agent and model, as far as they are known. */
function player(run) {
  return [run.agent, run.model].filter(Boolean).join(" · ") || UNKNOWN;
}

function tokensOf(costs) {
  const known = [costs.prompt_tokens, costs.completion_tokens].filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
}

/** A section with a heading; `aside` stands beside the heading. */
function section(title, content, { aside = null, id = null, className = "" } = {}) {
  return h("section", { class: `card ${className}`, id }, h("header", {}, h("h2", {}, title), aside), content);
}

function figureCard(label, value, note = null, className = "") {
  return h(
    "div",
    { class: `figure ${className}` },
    h("dt", {}, label),
    h("dd", {}, value, note ? h("small", {}, note) : null),
  );
}

/** Colour classes of datasets, in the order of the task. */
function datasetColours(run) {
  const names = [...(run.task.meta_train || []), ...(run.task.meta_test || [])];
  const colours = new Map();
  for (const name of names) if (!colours.has(name)) colours.set(name, `c${colours.size % COLOURS}`);
  return (name) => colours.get(name) || "c0";
}

/** Text in a box that grows when asked. */
function pre(content, className = "") {
  const cut = content.length > LONG_TEXT;
  const box = h("pre", { class: className, tabindex: 0 }, cut ? content.slice(0, LONG_TEXT) : content);
  if (!cut) return box;
  const more = h(
    "button",
    { class: "more", onclick: () => more.remove() || (box.textContent = content) },
    `Show all ${format.count(content.length)} characters`,
  );
  return [box, more];
}

/** A disclosure whose content is made when it is first opened. */
function disclosure(summary, make, { open = false, className = "", key = null } = {}) {
  const body = h("div", { class: "body" });
  let made = false;
  const box = h(
    "details",
    { class: className, open, ontoggle: fillOnce },
    h("summary", { "data-key": key }, summary),
    body,
  );
  function fillOnce() {
    if (!box.open || made) return;
    made = true;
    Promise.resolve(make()).then(
      (content) => swap(body, content),
      (error) => swap(body, problem(error.message)),
    );
  }
  if (open) fillOnce();
  return box;
}

function problem(message) {
  return h("p", { class: "callout bad" }, message);
}

/** Scores of one side of a step, with a bar each. */
function scoresTable(scores, colour) {
  const records = Object.entries(scores);
  if (!records.length) return null;
  const most = Math.min(SHOWN[1], Math.max(2, ...records.map(([, record]) => Number(record.normalised) || 0)));
  const metric = String(records[0][1].metric_name || "metric");
  const heads = ["dataset", "normalised", "", metric, "floor", "baseline", "seconds", "energy", "memory"];
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "scores" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((head, index) => h("th", { class: index > 2 ? "number" : null }, head)),
        ),
      ),
      h(
        "tbody",
        {},
        records.map(([name, record]) => scoreRow(name, record, colour(name), most)),
      ),
    ),
  );
}

const VERDICTS = { better: "better", worse: "worse", alike: "within noise", unknown: "too few exams" };

/** Runs of an episode, each compared with the best one in the exams that both have had. */
function evidenceTable(runs, href) {
  const heads = ["run", "datasets", "exams", "score", "to the best", "interval", "chance of being better", ""];
  const rows = runs.map((run) => {
    const found = run.difference;
    const known = found && typeof found.low === "number";
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href: href(run) }, `run ${run.run}`)),
      h("td", {}, chips(run.datasets, 4)),
      h("td", { class: "number" }, String(run.exams)),
      h("td", { class: "number" }, format.score(run.score)),
      h("td", { class: "number" }, found ? signed(found.difference) : ""),
      h("td", { class: "number" }, known ? `${signed(found.low)} … ${signed(found.high)}` : ""),
      h("td", { class: "number" }, known ? `${Math.round(100 * found.probability)} %` : ""),
      h(
        "td",
        {},
        run.is_best ? h("b", {}, "best") : run.same_as ? `same as run ${run.same_as}` : found ? VERDICTS[found.verdict] : "",
      ),
    );
  });
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "scores evidence" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((head, index) => h("th", { class: index > 1 && index < 7 ? "number" : null }, head)),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}

function signed(value) {
  return typeof value === "number" && value > 0 ? `+${format.score(value)}` : format.score(value);
}

function scoreRow(name, record, colour, most) {
  const exams = record.exams;
  const failed = exams.map((exam) => exam.status).filter((status) => status !== "ok");
  const seconds = mean(exams.map((exam) => exam.seconds));
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("span", { class: `key ${colour}` }),
      name,
      failed.length ? h("span", { class: "state crashed" }, [...new Set(failed)].join(", ")) : null,
    ),
    h(
      "td",
      { class: "number strong" },
      format.score(record.normalised),
      typeof record.standard_error === "number" ? h("small", {}, ` ± ${format.score(record.standard_error, 2)}`) : null,
    ),
    h("td", { class: "barcell" }, bar(record.normalised, { most, colour, error: record.standard_error })),
    h("td", { class: "number" }, format.metric(record.metric)),
    h("td", { class: "number faint" }, format.metric(record.floor)),
    h("td", { class: "number faint" }, format.metric(record.baseline)),
    h("td", { class: "number", title: `baseline ${format.seconds(record.baseline_seconds)}` }, format.seconds(seconds)),
    h(
      "td",
      { class: "number", title: exams.length ? exams[0].energy_method : null },
      format.joules(mean(exams.map((exam) => exam.joules))),
    ),
    h(
      "td",
      { class: "number", title: exams.length ? exams[0].memory_method : null },
      format.bytes(mean(exams.map((exam) => exam.peak_memory_bytes))),
    ),
  );
}

/** What a reward was made of, per meta-test dataset; whatever an objective reports is shown. */
function rewardParts(parts) {
  const perDataset = Object.entries(parts).filter(
    ([, value]) => value && typeof value === "object" && !Array.isArray(value),
  );
  const datasets = [...new Set(perDataset.flatMap(([, value]) => Object.keys(value)))];
  const single = Object.entries(parts).filter(([, value]) => !value || typeof value !== "object");
  if (!datasets.length && !single.length) return null;
  return [
    datasets.length
      ? h(
          "div",
          { class: "scroll" },
          h(
            "table",
            { class: "scores" },
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                h("th", {}, "dataset"),
                perDataset.map(([name]) => h("th", { class: "number" }, name.replaceAll("_", " "))),
              ),
            ),
            h(
              "tbody",
              {},
              datasets.map((dataset) =>
                h(
                  "tr",
                  {},
                  h("th", { scope: "row" }, dataset),
                  perDataset.map(([, value]) => h("td", { class: "number" }, part(value[dataset]))),
                ),
              ),
            ),
          ),
        )
      : null,
    h(
      "p",
      { class: "faint" },
      single.map(([name, value]) => `${name.replaceAll("_", " ")}: ${part(value)}`).join(" · "),
    ),
  ];
}

function part(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return format.metric(value);
}
