// Code, differences and Markdown, as elements.

const KEYWORDS = new Set(
  (
    "and as assert async await break class continue def del elif else except finally for from global if import in is " +
    "lambda match nonlocal not or pass raise return try while with yield None True False self"
  ).split(" "),
);
const TOKEN = /("""|''')|(#.*)|("(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?)|([A-Za-z_]\w*)|(\d[\w.]*)|(@[\w.]+)/g;
const LONGEST_LINE = 600;
const FIRST_LINES = 1200;

/** One line of Python as [[class, text], …]. `state.quote` holds the open triple quote from line to line. */
function tokens(line, state) {
  if (line.length > LONGEST_LINE) return [["", line]];
  const found = [];
  let at = 0;
  const push = (kind, end) => {
    if (end > at) found.push([kind, line.slice(at, end)]);
    at = Math.max(at, end);
  };
  while (at < line.length) {
    if (state.quote) {
      const end = line.indexOf(state.quote, at);
      if (end < 0) {
        push("str", line.length);
        break;
      }
      push("str", end + 3);
      state.quote = null;
      continue;
    }
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(line);
    if (!match) break;
    push("", match.index);
    const end = match.index + match[0].length;
    if (match[1]) {
      state.quote = match[1];
      push("str", end);
    } else if (match[4]) push(KEYWORDS.has(match[4]) ? "kw" : /^\s*\(/.test(line.slice(end)) ? "fn" : "", end);
    else push(match[2] ? "com" : match[3] ? "str" : match[5] ? "num" : "fn", end);
  }
  push("", line.length);
  return found;
}

/** Elements of a line; characters from `range[0]` to `range[1]` are marked. */
function coloured(line, state, range = null) {
  const nodes = [];
  let at = 0;
  for (const [kind, content] of tokens(line, state)) {
    const cuts = [0, content.length];
    if (range) for (const edge of range) if (edge > at && edge < at + content.length) cuts.push(edge - at);
    cuts.sort((a, b) => a - b);
    for (let index = 0; index + 1 < cuts.length; index += 1) {
      const piece = content.slice(cuts[index], cuts[index + 1]);
      const marked = range && at + cuts[index] >= range[0] && at + cuts[index + 1] <= range[1];
      if (kind || marked) nodes.push(h(marked ? "mark" : "span", { class: kind || null }, piece));
      else nodes.push(piece);
    }
    at += content.length;
  }
  return nodes;
}

/** A whole file. */
function codeView(content) {
  const state = { quote: null };
  const lines = content.replace(/\n$/, "").split("\n");
  return longList(
    lines.map((line, index) => () => codeLine(" ", "", index + 1, coloured(line, state))),
    "diff code",
  );
}

function codeLine(kind, before, after, content) {
  const name = { "+": "added", "-": "removed" }[kind] || "";
  return h(
    "div",
    { class: `codeline ${name}` },
    h("span", { class: "no" }, before || ""),
    h("span", { class: "no" }, after || ""),
    h("span", { class: "sign" }, kind),
    h("code", {}, content),
  );
}

/** Changes of files, as the server compares them. */
function diffView(files, { none = "No file was changed." } = {}) {
  if (!files.length) return h("p", { class: "faint" }, none);
  return files.map((file) =>
    h(
      "details",
      { class: "file", open: true },
      h("summary", {}, h("span", { class: "path" }, file.path), counts(file)),
      longList(
        file.hunks.flatMap((hunk, index) => hunkLines(hunk, index)),
        "diff",
      ),
    ),
  );
}

function counts(file) {
  return h(
    "span",
    { class: "counts" },
    h("span", { class: "plus" }, `+${file.added}`),
    " ",
    h("span", { class: "minus" }, `−${file.removed}`),
  );
}

function hunkLines(hunk, index) {
  const states = { "-": { quote: null }, "+": { quote: null } };
  const ranges = changedWords(hunk);
  const makers = hunk.map(([kind, before, after, content], at) => () => {
    const nodes = coloured(content, kind === "-" ? states["-"] : states["+"], ranges.get(at) || null);
    if (kind === " ") states["-"].quote = states["+"].quote;
    return codeLine(kind, before, after, nodes);
  });
  return index ? [() => h("div", { class: "gap", "aria-hidden": "true" }, "⋯"), ...makers] : makers;
}

/** For as many removed as added lines in a row: which characters of each differ. */
function changedWords(hunk) {
  const ranges = new Map();
  for (let at = 0; at < hunk.length;) {
    let removed = 0,
      added = 0;
    while (at + removed < hunk.length && hunk[at + removed][0] === "-") removed += 1;
    while (at + removed + added < hunk.length && hunk[at + removed + added][0] === "+") added += 1;
    for (let each = 0; removed === added && each < removed; each += 1) {
      const [one, other] = [hunk[at + each][3], hunk[at + removed + each][3]];
      const [start, ends] = commonEnds(one, other);
      if (start + ends < 0.3 * Math.max(one.length, other.length)) continue;
      ranges.set(at + each, [start, one.length - ends]);
      ranges.set(at + removed + each, [start, other.length - ends]);
    }
    at += Math.max(1, removed + added);
  }
  return ranges;
}

function commonEnds(one, other) {
  const least = Math.min(one.length, other.length);
  let start = 0,
    end = 0;
  while (start < least && one[start] === other[start]) start += 1;
  while (end < least - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  return [start, end];
}

/** Lines, of which the first are made at once and the others when asked for. */
function longList(makers, name) {
  const body = h("div", { class: name, tabindex: 0, role: "group", "aria-label": "code" });
  const rows = h(
    "div",
    { class: "rows" },
    makers.slice(0, FIRST_LINES).map((make) => make()),
  );
  body.append(rows);
  if (makers.length > FIRST_LINES) {
    const more = h(
      "button",
      {
        class: "more",
        onclick: () => more.remove() || rows.append(...makers.slice(FIRST_LINES).map((make) => make())),
      },
      `Show ${makers.length - FIRST_LINES} more lines`,
    );
    body.append(more);
  }
  return body;
}

/** Markdown, as far as tasks and models use it: headings, lists, tables, code, bold. Links stay text. */
function markdown(source) {
  const blocks = [];
  const lines = source.split("\n");
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    const fence = /^\s*(```+|~~~+)/.exec(line);
    const heading = /^(#{1,6})\s+(.*)/.exec(line);
    if (fence) {
      let end = at + 1;
      while (end < lines.length && !lines[end].trim().startsWith(fence[1])) end += 1;
      const content = lines.slice(at + 1, end).join("\n");
      const state = { quote: null };
      const plain = !/^\s*[`~]+\s*(py|python)/i.test(line);
      blocks.push(
        h(
          "pre",
          {},
          h("code", {}, plain ? content : content.split("\n").flatMap((each) => [...coloured(each, state), "\n"])),
        ),
      );
      at = end + 1;
    } else if (heading) {
      blocks.push(h(`h${Math.min(6, heading[1].length + 2)}`, {}, inline(heading[2])));
      at += 1;
    } else if (/^\s*\|.*\|\s*$/.test(line) && /^\s*\|[\s:|-]+\|\s*$/.test(lines[at + 1] || "")) {
      let end = at + 2;
      while (end < lines.length && /^\s*\|.*\|\s*$/.test(lines[end])) end += 1;
      blocks.push(markdownTable([line, ...lines.slice(at + 2, end)]));
      at = end;
    } else if (/^\s*([*+-]|\d+\.)\s/.test(line)) {
      let end = at + 1;
      while (end < lines.length && lines[end].trim() && !/^#{1,6}\s|^\s*```/.test(lines[end])) end += 1;
      blocks.push(markdownList(lines.slice(at, end)));
      at = end;
    } else if (!line.trim()) {
      at += 1;
    } else {
      let end = at + 1;
      while (
        end < lines.length &&
        lines[end].trim() &&
        !/^#{1,6}\s|^\s*```|^\s*\||^\s*([*+-]|\d+\.)\s/.test(lines[end])
      )
        end += 1;
      blocks.push(h("p", {}, inline(lines.slice(at, end).join("\n"))));
      at = end;
    }
  }
  return h("div", { class: "markdown" }, blocks);
}

function inline(content) {
  return content.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((piece) => {
    if (piece.length > 2 && piece.startsWith("`") && piece.endsWith("`")) return h("code", {}, piece.slice(1, -1));
    if (piece.length > 4 && piece.startsWith("**") && piece.endsWith("**")) return h("strong", {}, piece.slice(2, -2));
    return piece;
  });
}

function markdownTable(lines) {
  const rows = lines.map((line) =>
    line
      .trim()
      .replace(/^\||\|$/g, "")
      .split("|")
      .map((cell) => cell.trim()),
  );
  const [head, ...body] = rows;
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((cell) => h("th", {}, inline(cell))),
        ),
      ),
      h(
        "tbody",
        {},
        body.map((row) =>
          h(
            "tr",
            {},
            row.map((cell) => h("td", {}, inline(cell))),
          ),
        ),
      ),
    ),
  );
}

function markdownList(lines) {
  const items = [];
  for (const line of lines) {
    const item = /^\s*(?:[*+-]|\d+\.)\s+(.*)/.exec(line);
    if (item) items.push(item[1]);
    else items[items.length - 1] += `\n${line.trim()}`;
  }
  return h(
    /^\s*\d/.test(lines[0]) ? "ol" : "ul",
    {},
    items.map((item) => h("li", {}, inline(item))),
  );
}
