// Numbers, times and sizes as people write them. What is not known is an en dash.

const UNKNOWN = "–";

const format = {
  score(value, digits = 3) {
    if (typeof value !== "number") return value === null || value === undefined ? UNKNOWN : String(value);
    return Math.abs(value) >= 1000 ? value.toExponential(2) : value.toFixed(Math.abs(value) >= 100 ? 1 : digits);
  },
  metric(value) {
    if (typeof value !== "number") return value === null || value === undefined ? UNKNOWN : String(value);
    return String(Number(value.toPrecision(4)));
  },
  seconds(value) {
    if (typeof value !== "number") return UNKNOWN;
    if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
    if (value < 9.95) return `${value.toFixed(1)} s`;
    if (value < 99.5) return `${Math.round(value)} s`;
    if (value < 5970) return `${Math.round(value / 60)} min`;
    return value < 172800 ? `${(value / 3600).toFixed(1)} h` : `${Math.round(value / 86400)} days`;
  },
  count(value) {
    return scaled(value, ["", "k", "M", "G"], 1000, "");
  },
  joules(value) {
    return scaled(value, ["J", "kJ", "MJ", "GJ"], 1000, " ");
  },
  bytes(value) {
    return scaled(value, ["B", "KiB", "MiB", "GiB"], 1024, " ");
  },
  money(value) {
    if (typeof value !== "number") return UNKNOWN;
    return value >= 1 || value === 0 ? value.toFixed(2) : String(Number(value.toPrecision(2)));
  },
  ago(text, now = Date.now()) {
    const seconds = (now - Date.parse(text)) / 1000;
    if (!Number.isFinite(seconds)) return UNKNOWN;
    return seconds < 10 ? "now" : `${format.seconds(Math.max(0, seconds))} ago`;
  },
  when(text) {
    const date = new Date(text);
    if (Number.isNaN(date.getTime())) return UNKNOWN;
    return date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  },
  plural(count, noun) {
    return `${count} ${noun}${count === 1 ? "" : "s"}`;
  },
};

function scaled(value, units, base, space) {
  if (typeof value !== "number") return UNKNOWN;
  let power = 0;
  let rest = value;
  while (Math.abs(rest) >= base * 0.9995 && power < units.length - 1) {
    rest /= base;
    power += 1;
  }
  const digits = power === 0 || Math.abs(rest) >= 100 ? 0 : 1;
  const shown = power === 0 && !Number.isInteger(rest) && Math.abs(rest) < 100 ? rest.toFixed(1) : rest.toFixed(digits);
  return units[power] ? `${shown}${space}${units[power]}` : shown;
}

function mean(values) {
  const known = values.filter((value) => typeof value === "number");
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}
