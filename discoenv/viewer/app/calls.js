// What language models were asked, what they answered, and the tools they used.

const ROLES = { system: "system", developer: "system", user: "user", assistant: "model", tool: "tool" };

/** Calls in order; each is fetched when it is opened. */
function callsView(source, id, calls) {
  return h(
    "div",
    { class: "calls" },
    calls.map((call) => (call.kind === "model_call" ? modelCall(source, id, call) : toolCall(source, id, call))),
  );
}

function modelCall(source, id, call) {
  const usage = call.usage || {};
  const facts = [
    call.label,
    call.conversation && call.conversation !== "main" ? call.conversation : null,
    Number.isFinite(usage.prompt_tokens)
      ? `${format.count(usage.prompt_tokens)} → ${format.count(usage.completion_tokens)} tokens`
      : null,
    call.cost ? `cost ${format.money(call.cost)}` : null,
    call.latency_s === null ? null : format.seconds(call.latency_s),
    call.failed_attempts ? `${format.plural(call.failed_attempts, "failed attempt")} before` : null,
  ].filter(Boolean);
  const summary = [
    icon("model"),
    h("b", {}, call.model || "model"),
    h("span", { class: "faint" }, facts.join(" · ")),
    call.error ? h("span", { class: "state crashed" }, "failed") : null,
  ];
  return disclosure(summary, () => modelCallBody(source, id, call), {
    className: `call ${call.error ? "bad" : ""}`,
    key: `call-${call.index}`,
  });
}

async function modelCallBody(source, id, call) {
  const message = (identity) =>
    source.once("message", { id, message: identity }).then(
      (found) => messageView(found),
      () => null,
    );
  const earlier = call.earlier.length
    ? disclosure(
        `${format.plural(call.earlier.length, "earlier message")} of this conversation`,
        () => Promise.all(call.earlier.map(message)),
        { className: "earlier" },
      )
    : null;
  const full = await source.once("call", { id, call: call.index });
  const usage = Object.entries(call.usage || {}).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
  const settings = Object.entries(full.parameters || {}).map(([name, value]) => `${name} ${part(value)}`);
  return [
    call.error ? problem(String(call.error)) : null,
    earlier,
    await Promise.all(call.fresh.map(message)),
    call.reply === null ? null : h("div", { class: "reply" }, await message(call.reply)),
    h("p", { class: "faint facts" }, [`finished: ${call.finish_reason || UNKNOWN}`, ...usage, ...settings].join(" · ")),
    (full.attempts || []).map((attempt) => problem(`${attempt.error} (waited ${format.seconds(attempt.waited_s)})`)),
  ];
}

function messageView(message) {
  const role = ROLES[message.role] || "user";
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls : [];
  const thoughts = message.reasoning || message.reasoning_content;
  const content = contentText(message.content);
  return h(
    "article",
    { class: `message ${role}` },
    h(
      "header",
      {},
      String(message.role || "message"),
      message.name ? h("span", { class: "faint" }, ` ${message.name}`) : null,
    ),
    thoughts ? disclosure("reasoning", () => pre(contentText(thoughts))) : null,
    content ? (role === "tool" ? pre(content) : tall(markdown(content))) : null,
    calls.map((call) => {
      const asked = call.function || call;
      return h(
        "div",
        { class: "asked" },
        h("div", {}, icon("tool"), h("b", {}, String(asked.name || "tool"))),
        argumentsView(asked.arguments),
      );
    }),
  );
}

/** The text of a message, whose content is a text or a list of parts. */
function contentText(content) {
  if (typeof content === "string") return content;
  if (Array.isArray(content))
    return content.map((each) => (each && each.text) || (each && each.type ? `[${each.type}]` : "")).join("\n");
  return content === null || content === undefined ? "" : JSON.stringify(content, null, 1);
}

/** Arguments of a tool: short ones in a line each, texts of several lines as code. */
function argumentsView(given) {
  let values = given;
  if (typeof given === "string") {
    try {
      values = JSON.parse(given);
    } catch {
      return pre(given);
    }
  }
  if (!values || typeof values !== "object")
    return values === undefined || values === null ? null : pre(String(values));
  return h(
    "dl",
    { class: "arguments" },
    Object.entries(values).map(([name, value]) => {
      const long = typeof value === "string" && value.includes("\n");
      return [
        h("dt", {}, name),
        h(
          "dd",
          {},
          long ? tall(codeView(value)) : h("code", {}, typeof value === "string" ? value : JSON.stringify(value)),
        ),
      ];
    }),
  );
}

/** Something that may be tall, cut until the reader asks for all of it. */
function tall(content) {
  const box = h("div", { class: "tall" }, content);
  const more = h("button", { class: "more", onclick: () => box.classList.add("whole") }, "Show all");
  requestAnimationFrame(() =>
    box.scrollHeight > box.clientHeight + 40 ? box.append(more) : box.classList.add("whole"),
  );
  return box;
}

function toolCall(source, id, call) {
  const facts = [
    call.stepped ? "took a step" : null,
    call.source && call.source !== "model" ? call.source : null,
    call.duration_s === null ? null : format.seconds(call.duration_s),
  ].filter(Boolean);
  const summary = [
    icon("tool"),
    h("b", {}, String(call.name || "tool")),
    h("span", { class: "faint" }, facts.join(" · ")),
    call.ok ? null : h("span", { class: "state crashed" }, "refused"),
  ];
  const body = () =>
    source
      .once("call", { id, call: call.index })
      .then((full) => [argumentsView(full.arguments), full.text ? pre(String(full.text)) : null]);
  return disclosure(summary, body, { className: "call tool", key: `call-${call.index}` });
}
