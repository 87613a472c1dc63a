// Elements out of data. Data becomes text or an attribute's value, never markup: recorded runs hold hostile text.

/** An HTML element. Attributes: `onclick` and the like take functions, `style` an object; null and false are left out. */
function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element; arguments as for `h`. */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Replace the children of an element; the focus stays on the element with the same `data-key`. */
function swap(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const typing = focused && document.activeElement.selectionStart;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (!focused) return;
  const again = [...element.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focused);
  if (!again) return;
  again.focus({ preventScroll: true });
  if (typeof typing === "number" && again.setSelectionRange) again.setSelectionRange(typing, typing);
}

/** Icons are drawn with strokes on a grid of 16. */
const ICONS = {
  run: "M5 3.5v9l7-4.5z",
  edit: "M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3z",
  submit: "M8 13V3M4 7l4-4 4 4",
  task: "M4 2.5h8v11H4zM6 6h4M6 8.5h4M6 11h2",
  refused: "M4 4l8 8M12 4l-8 8",
  model: "M3 4h10v7H8l-3 2.5V11H3z",
  tool: "M10 2.5a3.2 3.2 0 0 0-3 4.3L2.5 11.3l2.2 2.2L9.2 9a3.2 3.2 0 0 0 4.1-4.2L11.3 6.800 9.200 4.700z",
  theme: "M8 2v12A6 6 0 0 0 8 2zM8 2a6 6 0 0 0 0 12",
  previous: "M10 3L5 8l5 5",
  next: "M6 3l5 5-5 5",
};

function icon(name, label) {
  const hidden = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  return svg("svg", { class: `icon icon-${name}`, viewBox: "0 0 16 16", ...hidden }, svg("path", { d: ICONS[name] }));
}
