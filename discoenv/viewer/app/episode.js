// One run: what it came to, its scores as a chart, its steps, and everything about the step that is chosen.

class EpisodeView {
  constructor(source, id, step) {
    this.source = source;
    this.id = id;
    this.pinned = step;
    this.calls = [];
    this.hidden = new Set();
    this.drawn = null;
    this.title = id.split("/").at(-1);
    this.top = h("div", {});
    this.timeline = h("nav", { class: "timeline card", "aria-label": "steps" });
    this.detail = new StepDetail(this);
    this.root = h("div", { class: "episode" }, this.top, h("div", { class: "columns" }, this.timeline, this.detail.root));
  }

  /** The step that is shown: the one in the address, or else the newest. */
  get selected() {
    const last = this.run.list.length - 1;
    return this.pinned === null ? last : Math.min(this.pinned, last);
  }

  async refresh() {
    const known = this.run ? this.run.list.length : 0;
    const reply = await this.source.poll("run", { id: this.id, after: known });
    if (reply) {
      if (this.run && reply.generation !== this.run.generation) return this.restart();
      this.run = { ...reply, list: [...(this.run ? this.run.list : []), ...reply.list] };
      const costs = this.run.costs;
      if (costs.model_calls + costs.tool_calls > this.calls.length) await this.fetchCalls();
      this.draw();
    } else if (this.run) {
      this.drawClock();
    }
    return this.run && this.run.status !== "running" ? 5000 : null;
  }

  async fetchCalls() {
    const reply = await this.source.poll("calls", { id: this.id, after: this.calls.length });
    if (reply) this.calls.push(...reply.list);
  }

  restart() {
    this.run = null;
    this.calls = [];
    this.drawn = null;
    this.source.forget();
    return this.refresh();
  }

  /** Show another step, without leaving the page. */
  show(step) {
    this.pinned = step;
    if (this.run) this.draw();
  }

  /** One step back or on, by the keyboard. */
  move(by) {
    if (!this.run) return;
    const next = Math.min(Math.max(this.selected + by, 0), this.run.list.length - 1);
    location.hash = runHref(this.id, next);
  }

  draw() {
    const run = this.run;
    this.colour = datasetColours(run);
    swap(
      this.top,
      this.heading(),
      run.problem ? problem(run.problem) : null,
      run.infra_error
        ? problem(`The machine failed, so this run says nothing about the agent: ${run.infra_error}`)
        : null,
      this.figures(),
      h("div", { class: "overview" }, this.chart(), this.reward()),
      this.evidence(),
      this.pictures(),
    );
    this.drawTimeline();
    this.drawClock();
    const step = run.list[this.selected];
    const stamp = step ? `${this.selected} ${this.callsOf(step).length}` : "none";
    if (stamp === this.drawn) return;
    this.drawn = stamp;
    if (step) this.detail.show(step, stamp);
    else swap(this.detail.root, h("p", { class: "empty" }, "Nothing has happened yet."));
  }

  heading() {
    const { task, status, id } = this.run;
    const facts = [
      task.objective,
      task.scale,
      task.start && `from ${task.start}`,
      task.backend !== "default" && task.backend,
      this.run.integrity.sandbox && `${this.run.integrity.sandbox} sandbox`,
      this.run.integrity.level && `scores ${this.run.integrity.level}`,
    ].filter(Boolean);
    return h(
      "div",
      { class: "heading" },
      h(
        "div",
        {},
        h("h1", {}, task.domain || this.run.name, stateBadge(status)),
        h("p", {}, chips(task.modules || []), h("span", { class: "faint" }, facts.join(" · "))),
        h("p", { class: "faint path" }, id),
      ),
      h(
        "div",
        { class: "who" },
        h("b", {}, player(this.run) === UNKNOWN ? "" : player(this.run)),
        h("div", { class: "faint" }, this.run.started ? format.when(this.run.started) : ""),
        this.source.embedded
          ? null
          : h(
              "a",
              { class: "button", href: `#/?${new URLSearchParams({ domain: task.domain || "" })}` },
              "Other runs of this domain",
            ),
      ),
    );
  }

  figures() {
    const { costs, reward, best, steps, max_steps } = this.run;
    const good = reward === null ? "" : reward > 1 ? "good" : reward > 0 ? "fair" : "poor";
    const tokens = tokensOf(costs);
    return h(
      "dl",
      { class: "figures" },
      figureCard("reward", format.score(reward), reward === null ? "not over yet" : "1 = baseline", `hero ${good}`),
      figureCard("best meta-train", format.score(best)),
      figureCard("steps", String(steps), max_steps ? ` of ${max_steps}` : null),
      figureCard(
        "training",
        format.seconds(costs.seconds),
        costs.exams ? ` ${format.plural(costs.exams, "exam")}` : null,
      ),
      figureCard("energy", format.joules(costs.joules)),
      figureCard("duration", format.seconds(costs.wall_s)),
      tokens === null
        ? null
        : figureCard("tokens", format.count(tokens), ` ${format.count(costs.completion_tokens)} written`),
      costs.money === null
        ? null
        : figureCard("model cost", format.money(costs.money), ` ${format.plural(costs.model_calls, "call")}`),
      costs.model_s === null ? null : figureCard("model time", format.seconds(costs.model_s)),
    );
  }

  chart() {
    const { list, task, max_steps } = this.run;
    const last = Math.max(1, ...list.map((step) => step.step), Math.min(max_steps || 1, 60));
    const names = [...new Set(list.flatMap((step) => Object.keys(step.meta_train)))];
    const points = (name) =>
      list
        .filter((step) => step.meta_train[name])
        .map((step) => ({ x: step.step, y: step.meta_train[name].normalised, failed: !step.meta_train[name].ok }));
    const averages = list
      .filter((step) => step.score !== null)
      .map((step) => ({ x: step.step, y: step.score, failed: failed(step) }));
    const bests = list.filter((step) => step.score !== null).map((step) => ({ x: step.step, y: step.best }));
    const series = [
      { label: "best so far", colour: "best", stepped: true, points: bests },
      ...(names.length > 1
        ? names.map((name) => ({ label: name, colour: this.colour(name), points: points(name) }))
        : []),
      {
        label: names.length > 1 ? "mean" : names[0] || "mean",
        colour: "mean",
        thick: true,
        points: names.length > 1 ? averages : points(names[0]),
      },
    ];
    const test = Object.entries(list.at(-1)?.meta_test || {});
    const marks = test.map(([label, score]) => ({
      label,
      colour: this.colour(label),
      y: score.normalised,
      error: score.standard_error,
      failed: !score.ok,
    }));
    const shown = series.filter((line) => !this.hidden.has(line.label));
    const room = this.top.clientWidth || 1000;
    const beside = matchMedia("(min-width: 1081px)").matches; // as in views.css, where the reward stands beside the chart
    const width = Math.max(280, (beside ? ((room - 14) * 1.62) / 2.62 : room) - (innerWidth > 820 ? 38 : 26));
    const chart = scoresChart({
      lines: shown,
      marks,
      last,
      width,
      selected: list[this.selected]?.step,
      height: 290,
      levels:
        typeof this.run.reward === "number" && task.objective === "performance"
          ? [{ y: this.run.reward, colour: "mean" }]
          : [],
      href: (step) =>
        list.some((each) => each.step === step)
          ? runHref(
              this.id,
              list.findIndex((each) => each.step === step),
            )
          : null,
      tip: (step) => this.tip(step, names),
      label: `scores over ${format.plural(last, "step")}; best mean ${format.score(this.run.best)}`,
    });
    const legend = h(
      "div",
      { class: "legend" },
      series.map((line) =>
        h(
          "button",
          {
            "aria-pressed": String(!this.hidden.has(line.label)),
            "data-key": `series-${line.label}`,
            onclick: () => {
              if (!this.hidden.delete(line.label)) this.hidden.add(line.label);
              this.draw();
            },
          },
          h("span", { class: `key ${line.colour}` }),
          line.label,
        ),
      ),
    );
    return section(
      "Scores",
      averages.length || marks.length ? [chart, legend] : h("p", { class: "empty" }, "No scores yet."),
      { aside: h("small", {}, "normalised: 0 floor, 1 baseline"), className: "scores-card" },
    );
  }

  tip(step, names) {
    const found = this.run.list.find((each) => each.step === step);
    if (!found) return [];
    const scores = names
      .filter((name) => found.meta_train[name])
      .map((name) => [
        name,
        scoreWithError(found.meta_train[name].normalised, found.meta_train[name].standard_error),
        names.length > 1 ? this.colour(name) : "mean",
      ]);
    return [
      [`step ${step}: ${found.refused ? "refused" : found.command || ""}`, "", ""],
      ...(names.length > 1 && found.score !== null ? [["mean", format.score(found.score), "mean"]] : []),
      ...scores,
    ];
  }

  reward() {
    const test = Object.entries(this.run.list.at(-1)?.meta_test || {});
    if (!test.length) {
      const note =
        this.run.status === "running"
          ? "The reward is decided on these datasets when the agent submits."
          : "The run ended without a reward.";
      return section("Reward", [h("p", { class: "faint" }, note), chips(this.run.task.meta_test || [])], {
        className: "reward-card",
      });
    }
    const most = Math.min(SHOWN[1], Math.max(2, ...test.map(([, score]) => score.normalised || 0)));
    const rows = test.map(([name, score]) =>
      h(
        "li",
        {},
        h("span", { class: "name" }, h("span", { class: `key ${this.colour(name)}` }), name),
        h("b", {}, scoreWithError(score.normalised, score.standard_error)),
        bar(score.normalised, { most, colour: this.colour(name), error: score.standard_error }),
      ),
    );
    return section(
      "Reward",
      [
        h("ol", { class: "parts" }, rows),
        disclosure(
          "how it was computed",
          () => rewardParts(this.run.reward_parts) || h("p", { class: "faint" }, "nothing was recorded"),
          { key: "parts", open: true },
        ),
      ],
      { aside: h("small", {}, "on datasets the agent never saw"), className: "reward-card" },
    );
  }

  /** What the agent knew of its runs: which of them really differ. */
  evidence() {
    const runs = this.run.history || [];
    if (runs.length < 2) return null;
    const step = (run) => this.run.list.findIndex((each) => each.step === run.step);
    return section(
      "Evidence",
      disclosure(
        `${runs.length} runs, compared with the best`,
        () => evidenceTable(runs, (run) => runHref(this.id, step(run))),
        { key: "evidence" },
      ),
      { aside: h("small", {}, "in the exams that both have had; 95 %") },
    );
  }

  pictures() {
    if (!(this.run.pictures || []).length) return null;
    return section(
      "Pictures",
      h(
        "div",
        { class: "pictures" },
        this.run.pictures.map((name) =>
          h(
            "figure",
            {},
            h("img", { src: this.source.picture(this.id, name), alt: name, loading: "lazy" }),
            h("figcaption", { class: "faint" }, name),
          ),
        ),
      ),
    );
  }

  drawTimeline() {
    const first = this.run.list.findIndex((step) => step.is_best);
    const items = this.run.list.map((step, index) => {
      const name = step.event === "reset" ? "task" : step.refused ? "refused" : step.command || "edit";
      const record = step.is_best && !failed(step);
      const changed = step.files || [];
      const total = (kind) => changed.reduce((sum, file) => sum + file[kind], 0);
      return h(
        "a",
        {
          href: runHref(this.id, index),
          "data-key": `step-${index}`,
          "aria-current": index === this.selected ? "step" : null,
          class: failed(step) || step.refused ? "failed" : null,
        },
        icon(name, name),
        h(
          "span",
          { class: "what" },
          h("b", {}, step.event === "reset" ? "Task" : `Step ${step.step}`),
          h(
            "small",
            {},
            step.event === "reset"
              ? format.plural((this.run.task.modules || []).length, "module")
              : changed.length
                ? counts({ added: total("added"), removed: total("removed") })
                : step.refused
                  ? "refused"
                  : "no change",
          ),
        ),
        h(
          "span",
          { class: `score ${record ? "record" : ""}` },
          step.event === "reset"
            ? ""
            : step.ended
              ? format.score(step.reward)
              : step.score === null
                ? ""
                : format.score(step.score),
          step.ended ? h("small", {}, "reward") : record && index > first ? h("small", {}, "best") : null,
        ),
      );
    });
    swap(this.timeline, items, this.run.status === "running" ? h("p", { class: "clock", "aria-live": "off" }) : null);
    const current = this.timeline.querySelector("[aria-current]");
    if (current && this.selected !== this.scrolled) reveal(current, this.timeline);
    this.scrolled = this.selected;
  }

  /** For a run that goes on: how long ago something was recorded. */
  drawClock() {
    const clock = this.timeline.querySelector(".clock");
    if (clock) clock.textContent = `in progress; last record ${format.ago(this.run.ended)}`;
  }

  callsOf(step) {
    return this.calls.filter((call) => call.for_step === step.step || (call.for_step === null && step.index === 0));
  }

  /** Calls that led to no step: those of the step that is being prepared, shown after the newest. */
  pendingCalls() {
    const last = this.run.list.at(-1);
    return this.calls.filter((call) => call.for_step !== null && call.for_step > last.step);
  }
}

/** Whether an exam of a step failed. */
function failed(step) {
  return [step.meta_train, step.meta_test].some((side) => Object.values(side).some((score) => !score.ok));
}

/** Scroll a box, and nothing around it, until an element in it can be seen. */
function reveal(element, box) {
  const [inner, outer] = [element.getBoundingClientRect(), box.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom)
    box.scrollTop += inner.top - outer.top - box.clientHeight / 3;
  if (inner.left < outer.left || inner.right > outer.right)
    box.scrollLeft += inner.left - outer.left - box.clientWidth / 3;
}
