// Addresses, updates, themes and keys.

const POLL_MS = 1500;

const app = { source: new Source(embeddedData()), view: null, timer: 0, main: document.getElementById("main") };

function embeddedData() {
  const element = document.getElementById("data");
  return element ? JSON.parse(element.textContent) : null;
}

/** #/?filters, #/run/<id>, #/run/<id>/step/<n>, #/compare/<id>/<id>; an exported page begins at its run. */
function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...words] = path.split("/").map(decoded);
  const step = words[1] === "step" && /^\d+$/.test(words[2]) ? Number(words[2]) : null;
  const only = app.source.embedded ? app.source.embedded.run.id : null;
  if (name === "run" && words[0]) return { name, id: only || words[0], step };
  if (name === "compare" && words.length === 2 && !only) return { name, ids: words };
  return only ? { name: "run", id: only, step: null } : { name: "list", query: new URLSearchParams(query || "") };
}

function decoded(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

function navigate() {
  const to = route();
  document.getElementById("tip").hidden = true;
  if (to.name === "run" && app.view instanceof EpisodeView && app.view.id === to.id) {
    app.view.show(to.step);
    return;
  }
  app.source.forget();
  app.view =
    to.name === "run"
      ? new EpisodeView(app.source, to.id, to.step)
      : to.name === "compare"
        ? new CompareView(app.source, to.ids)
        : new ListView(app.source, to.query);
  document.title = `${app.view.title} · discoenv`;
  swap(app.main, app.view.root);
  scrollTo(0, 0);
  drawBar();
  update();
}

/** Ask for what is new, and again after a while. A hidden page waits until it is looked at. */
async function update() {
  clearTimeout(app.timer);
  const view = app.view;
  let wait = POLL_MS;
  try {
    if (!document.hidden) wait = (await view.refresh()) ?? POLL_MS;
    online(true);
  } catch (error) {
    if (view !== app.view) return;
    online(!(error instanceof TypeError));
    if (!view.root.firstChild || (view instanceof EpisodeView && !view.run))
      swap(
        app.main,
        h("p", { class: "empty" }, error.message),
        h("p", { class: "empty" }, h("a", { href: "#/" }, "All runs")),
      );
    if (!(error instanceof TypeError)) console.error(error);
  }
  if (view === app.view && !app.source.embedded) app.timer = setTimeout(update, wait);
}

function online(is) {
  document.body.classList.toggle("offline", !is);
}

function drawBar() {
  const live = app.source.embedded
    ? h("span", { class: "faint" }, "exported run")
    : h(
        "span",
        { class: "live", role: "status" },
        h("span", { class: "on" }, "live"),
        h("span", { class: "off" }, "the server does not answer"),
      );
  const back =
    app.view instanceof ListView || app.source.embedded ? null : h("a", { href: "#/", class: "crumb" }, "← all runs");
  swap(
    document.getElementById("bar"),
    h(
      "a",
      { href: "#/", class: "brand" },
      svg(
        "svg",
        { viewBox: "0 0 16 16", class: "logo", "aria-hidden": "true" },
        svg("circle", { cx: 8, cy: 8, r: 7 }),
        svg("path", { d: "M4 10l3-3 2 2 3-4" }),
      ),
      "discoenv",
    ),
    back,
    h("span", { class: "spacer" }),
    live,
    h(
      "button",
      {
        class: "plain",
        "data-key": "theme",
        "aria-label": "Change between light and dark",
        title: "light or dark (t)",
        onclick: switchTheme,
      },
      icon("theme"),
    ),
  );
}

function switchTheme() {
  const dark =
    document.documentElement.style.colorScheme ||
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  setTheme(dark === "dark" ? "light" : "dark");
}

function setTheme(theme) {
  document.documentElement.style.colorScheme = theme;
  try {
    localStorage.setItem("discoenv-theme", theme);
  } catch {
    // A page from a file may have no storage; then the choice lasts as long as the page.
  }
}

function keyPressed(event) {
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    event.target.closest("input:not([type=checkbox]):not([type=radio]),select,textarea")
  )
    return;
  if (event.key === "/") {
    const search = document.getElementById("search");
    if (search) search.focus();
    if (search) event.preventDefault();
  } else if (event.key === "t") switchTheme();
  else if (app.view instanceof EpisodeView && "jk".includes(event.key)) app.view.move(event.key === "j" ? 1 : -1);
}

function start() {
  try {
    const theme = localStorage.getItem("discoenv-theme");
    if (theme === "light" || theme === "dark") setTheme(theme);
  } catch {
    // As above.
  }
  addEventListener("hashchange", navigate);
  addEventListener("keydown", keyPressed);
  document.addEventListener("visibilitychange", () => document.hidden || update());
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    if (app.view.draw && (app.view.run || app.view.runs?.[0])) app.view.draw();
  });
  navigate();
}

start();
