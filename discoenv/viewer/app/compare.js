// Two runs side by side: scores over each other, rewards per dataset, costs, and how their last modules differ.

class CompareView {
  constructor(source, ids) {
    this.source = source;
    this.ids = ids;
    this.title = "compare";
    this.runs = [null, null];
    this.root = h("div", { class: "compare" });
    this.changes = null;
  }

  async refresh() {
    const replies = await Promise.all(this.ids.map((id) => this.source.poll("run", { id })));
    if (replies.every((reply) => reply === null)) return 3000;
    this.runs = replies.map((reply, index) => reply || this.runs[index]);
    this.changes = (await this.source.poll("versus", { id: this.ids[0], other: this.ids[1] })) || this.changes;
    this.draw();
    return 3000;
  }

  draw() {
    swap(
      this.root,
      h("h1", {}, "Compare"),
      h(
        "div",
        { class: "pair" },
        this.runs.map((run, index) => this.head(run, index)),
      ),
      this.same()
        ? null
        : h(
            "p",
            { class: "callout" },
            "These are different tasks: scores are normalised per dataset, but the datasets differ.",
          ),
      this.chart(),
      h("div", { class: "pair" }, this.rewards(), this.costs()),
      this.modules(),
    );
  }

  same() {
    return this.runs[0].task_id === this.runs[1].task_id;
  }

  head(run, index) {
    const good = run.reward === null ? "" : run.reward > 1 ? "good" : run.reward > 0 ? "fair" : "poor";
    return h(
      "section",
      { class: `card head r${index}` },
      h(
        "h2",
        {},
        h("span", { class: `key r${index}` }),
        h("a", { href: runHref(run.id) }, `${"AB"[index]}  ${run.task.domain || run.name}`),
        stateBadge(run.status),
      ),
      h("p", {}, chips(run.task.modules || [])),
      h(
        "p",
        { class: "faint" },
        [player(run), run.task.objective, run.task.scale].filter((each) => each && each !== UNKNOWN).join(" · "),
      ),
      h("p", { class: "faint path" }, run.id),
      h(
        "dl",
        { class: "figures" },
        figureCard("reward", format.score(run.reward), null, `hero ${good}`),
        figureCard("best meta-train", format.score(run.best)),
        figureCard("steps", run.steps),
      ),
    );
  }

  chart() {
    const lines = this.runs.map((run, index) => ({
      label: "AB"[index],
      colour: `r${index}`,
      thick: true,
      points: run.list
        .filter((step) => step.score !== null)
        .map((step) => ({ x: step.step, y: step.score, failed: failed(step) })),
    }));
    const last = Math.max(1, ...this.runs.map((run) => run.steps));
    const names = this.datasets();
    const marks = names.flatMap((name) =>
      this.runs
        .map((run, index) => [index, run.list.at(-1)?.meta_test[name]])
        .filter(([, score]) => score)
        .map(([index, score]) => ({
          label: `${"AB"[index]}  ${name}`,
          colour: `r${index}`,
          y: score.normalised,
          error: score.standard_error,
          failed: !score.ok,
        })),
    );
    const width = Math.max(280, (this.root.clientWidth || 1000) - (innerWidth > 820 ? 38 : 26));
    const score = (run, step) => run.list.find((each) => each.step === step && each.score !== null);
    const tip = (step) => {
      const rows = this.runs
        .map((run, index) => [score(run, step), index])
        .filter(([found]) => found)
        .map(([found, index]) => ["AB"[index], format.score(found.score), `r${index}`]);
      return rows.length ? [[`step ${step}`, "", ""], ...rows] : [];
    };
    return section(
      "Scores",
      [
        scoresChart({
          lines,
          marks,
          last,
          width,
          href: () => null,
          tip,
          label: "mean scores of both runs over their steps",
        }),
        h(
          "div",
          { class: "legend" },
          this.runs.map((run, index) =>
            h(
              "span",
              {},
              h("span", { class: `key r${index}` }),
              `${"AB"[index]}  ${player(run) === UNKNOWN ? run.name : player(run)}`,
            ),
          ),
        ),
      ],
      { aside: h("small", {}, "mean over meta-train datasets; 0 floor, 1 baseline") },
    );
  }

  datasets() {
    return [...new Set(this.runs.flatMap((run) => Object.keys(run.list.at(-1)?.meta_test || {})))];
  }

  rewards() {
    const names = this.datasets();
    if (!names.length) return section("Reward", h("p", { class: "faint" }, "Neither run has a reward yet."));
    const value = (run, name) => run.list.at(-1)?.meta_test[name];
    const most = Math.min(
      SHOWN[1],
      Math.max(2, ...names.flatMap((name) => this.runs.map((run) => value(run, name)?.normalised || 0))),
    );
    const rows = names.map((name) =>
      h(
        "li",
        {},
        h("span", { class: "name" }, name),
        h("span", {}),
        this.runs.map((run, index) => {
          const score = value(run, name);
          return [
            bar(score ? score.normalised : null, { most, colour: `r${index}`, error: score?.standard_error }),
            h("b", { class: `r${index}` }, score ? scoreWithError(score.normalised, score.standard_error) : UNKNOWN),
          ];
        }),
      ),
    );
    return section("Reward", h("ol", { class: "parts two" }, rows), {
      aside: h("small", {}, "per meta-test dataset, normalised"),
    });
  }

  costs() {
    const rows = [
      ["steps", (run) => run.steps, String],
      ["exams", (run) => run.costs.exams, String],
      ["training", (run) => run.costs.seconds, format.seconds],
      ["energy", (run) => run.costs.joules, format.joules],
      ["duration", (run) => run.costs.wall_s, format.seconds],
      ["model calls", (run) => run.costs.model_calls, String],
      ["tokens", (run) => tokensOf(run.costs), format.count],
      ["model cost", (run) => run.costs.money, format.money],
    ];
    return section(
      "Costs",
      h(
        "table",
        { class: "scores" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", {}),
            "AB"
              .split("")
              .map((name, index) => h("th", { class: "number" }, h("span", { class: `key r${index}` }), name)),
          ),
        ),
        h(
          "tbody",
          {},
          rows.map(([label, value, shown]) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, label),
              this.runs.map((run) => h("td", { class: "number" }, value(run) === null ? UNKNOWN : shown(value(run)))),
            ),
          ),
        ),
      ),
    );
  }

  modules() {
    const { files, same } = this.changes || { files: [], same: [] };
    return section("Last modules, from A to B", [
      diffView(files, { none: "They are the same." }),
      same.length ? h("p", { class: "faint" }, `The same in both: ${same.join(", ")}`) : null,
    ]);
  }
}
