// Everything about one step of a run, fetched when it is looked at.

class StepDetail {
  constructor(episode) {
    this.episode = episode;
    this.wanted = null;
    this.root = h("div", { class: "detail", id: "detail" });
  }

  async show(step, stamp) {
    this.wanted = stamp;
    const head = this.head(step);
    if (!this.root.firstChild) swap(this.root, head);
    let full;
    try {
      full = await this.episode.source.once("step", { id: this.episode.id, step: step.index });
    } catch (error) {
      if (stamp === this.wanted) swap(this.root, head, problem(error.message));
      return;
    }
    if (stamp !== this.wanted) return;
    const parts = step.event === "reset" ? this.taskParts(full) : this.stepParts(full);
    swap(this.root, head, parts);
  }

  head(step) {
    const title = step.event === "reset" ? "Task" : `Step ${step.step}`;
    const facts = [
      step.event !== "reset" && step.command,
      step.datasets?.length && `only ${step.datasets.join(", ")}`,
      step.event !== "reset" && step.duration_s !== null && format.seconds(step.duration_s),
      step.time && format.when(step.time),
      step.truncated && "steps or budget spent",
    ].filter(Boolean);
    const turn = (by, name, label) => {
      const to = step.index + by;
      const there = to >= 0 && to < this.episode.run.list.length;
      return h(
        "a",
        {
          class: `button ${there ? "" : "off"}`,
          "data-key": name,
          href: there ? runHref(this.episode.id, to) : null,
          "aria-label": label,
          title: label,
          "aria-disabled": there ? null : "true",
        },
        icon(name),
      );
    };
    return h(
      "div",
      { class: "detail-head" },
      h("h2", {}, title),
      h("span", { class: "faint" }, facts.join(" · ")),
      h("span", { class: "turn" }, turn(-1, "previous", "previous step (k)"), turn(1, "next", "next step (j)")),
    );
  }

  taskParts(full) {
    const files = Object.entries(full.start_files);
    return [
      section("What the agent read", tall(markdown(full.text))),
      section(
        "Modules at the start",
        files.map(([name, content]) =>
          disclosure(h("span", { class: "path" }, name), () => codeView(content), { className: "file" }),
        ),
      ),
      this.setup(),
      this.callsSection(full),
    ];
  }

  setup() {
    const rows = Object.entries({ ...this.episode.run.task, ...this.episode.run.setup }).map(([name, value]) => [
      h("dt", {}, name.replaceAll("_", " ")),
      h("dd", {}, value === null ? UNKNOWN : Array.isArray(value) ? value.join(", ") || "none" : String(value)),
    ]);
    const notes = this.episode.run.integrity.notes || [];
    return section("Setup", [
      h("dl", { class: "setup" }, rows),
      notes.length
        ? [
            h("h3", {}, "What this domain cannot exclude"),
            h(
              "ul",
              {},
              notes.map((note) => h("li", {}, String(note))),
            ),
          ]
        : null,
    ]);
  }

  stepParts(full) {
    return [
      full.refused
        ? h(
            "div",
            { class: "callout bad" },
            h("b", {}, "The action was refused. "),
            full.refused,
            full.refused_action ? pre(full.refused_action) : null,
          )
        : null,
      full.infra_error ? problem(full.infra_error) : null,
      this.sideScores(full, "meta_test", "Meta-test scores"),
      this.sideScores(full, "meta_train", "Meta-train scores"),
      this.failures(full),
      this.changes(full),
      this.outputs(full),
      this.callsSection(full),
      section("What the agent read", tall(markdown(full.text))),
    ];
  }

  sideScores(full, side, title) {
    const scores = full.scores[side];
    return scores ? section(title, scoresTable(scores, this.episode.colour)) : null;
  }

  failures(full) {
    const found = Object.values(full.scores)
      .flatMap((side) => Object.entries(side))
      .filter(([, record]) => record.exams.some((exam) => exam.traceback || exam.message));
    if (!found.length) return null;
    return section(
      "What went wrong",
      found.map(([name, record], index) => {
        const tracebacks = [...new Set(record.exams.map((exam) => exam.traceback))].filter(Boolean);
        return h(
          "div",
          { class: "callout bad" },
          h("b", {}, name),
          " ",
          [...new Set(record.exams.map((exam) => exam.message))].filter(Boolean).join("; "),
          tracebacks.map((traceback, number) =>
            disclosure("traceback", () => pre(traceback), {
              open: index === 0 && number === 0,
              key: `traceback-${name}-${number}`,
            }),
          ),
        );
      }),
    );
  }

  changes(full) {
    const body = h("div", {}, diffView(full.diff));
    const sinceStart = { id: this.episode.id, from: 0, to: full.index };
    if (full.index < 2 || !this.episode.source.has("diff", sinceStart)) return section("Changes", body);
    const choose = async (event) => {
      const start = event.target.value === "start";
      swap(body, diffView(start ? (await this.episode.source.once("diff", sinceStart)).files : full.diff));
    };
    const option = (value, label, checked) =>
      h("label", {}, h("input", { type: "radio", name: "since", value, checked, onchange: choose }), label);
    return section("Changes", body, {
      aside: h(
        "fieldset",
        { class: "switch" },
        h("legend", { class: "hidden" }, "compared with"),
        option("previous", "since the previous step", true),
        option("start", "since the start", false),
      ),
    });
  }

  outputs(full) {
    const printed = Object.entries(full.scores)
      .flatMap(([side, scores]) => Object.entries(scores).map(([name, record]) => ({ side, name, record })))
      .filter(({ record }) => record.stdout);
    if (!printed.length) return null;
    return section(
      "Output",
      printed.map(({ side, name, record }) => {
        const rest = record.stdout_characters - record.stdout.length;
        const box = h("div", {}, pre(record.stdout));
        const query = { id: this.episode.id, step: full.index, side, dataset: name };
        const all =
          rest > 0 && this.episode.source.has("output", query)
            ? h(
                "button",
                {
                  class: "more",
                  onclick: async () => swap(box, pre((await this.episode.source.once("output", query)).stdout)),
                },
                `Show the first ${format.count(rest)} characters as well`,
              )
            : rest > 0
              ? h("p", { class: "faint" }, `${format.count(rest)} characters before this are left out.`)
              : null;
        return disclosure(
          [
            h("span", { class: `key ${this.episode.colour(name)}` }),
            name,
            h(
              "span",
              { class: "faint" },
              ` ${side.replace("_", "-")} · ${format.count(record.stdout_characters)} characters`,
            ),
          ],
          () => [all, box],
          {
            open:
              printed.length === 1 ||
              record.stdout_characters < 600 ||
              !record.exams.every((exam) => exam.status === "ok"),
            className: "file",
            key: `output-${side}-${name}`,
          },
        );
      }),
    );
  }

  callsSection(full) {
    const newest = full.index === this.episode.run.list.length - 1;
    const calls = [...this.episode.callsOf(this.episode.run.list[full.index]), ...(newest ? this.episode.pendingCalls() : [])];
    if (!calls.length) return null;
    const models = calls.filter((call) => call.kind === "model_call");
    const tools = calls.length - models.length;
    return section("Model and tool calls", callsView(this.episode.source, this.episode.id, calls), {
      aside: h(
        "small",
        {},
        [models.length && format.plural(models.length, "model call"), tools && format.plural(tools, "tool call")]
          .filter(Boolean)
          .join(", "),
      ),
      id: "calls",
    });
  }
}
