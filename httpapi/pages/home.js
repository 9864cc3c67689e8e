// The page at "/". It asks this server alone: for /info, /v1/rerank and /metrics.
const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const number = (value, digits = 0) => value.toLocaleString("en", { maximumFractionDigits: digits });
const plural = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;

// element makes an element with text or children; attributes go by setAttribute, since the policy forbids inline styles.
function element(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Storage may be forbidden; then values are not kept.
function stored(storage, key, value) {
  try {
    if (value === undefined) return window[storage].getItem(key) ?? "";
    window[storage].setItem(key, value);
  } catch { /* see above */ }
  return value ?? "";
}

// ---- Theme ----

const themes = ["auto", "light", "dark"];
function setTheme(theme) {
  root.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
  stored("localStorage", "theme", theme);
}
setTheme(themes.includes(stored("localStorage", "theme")) ? stored("localStorage", "theme") : "auto");
$("theme").onclick = () => setTheme(themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length]);

// ---- API key and model ----

$("key").value = stored("sessionStorage", "key");
$("key-field").hidden = root.dataset.keys !== "wanted";
$("key").onchange = () => { stored("sessionStorage", "key", $("key").value); describe(); };

const authorization = () => ($("key").value ? { Authorization: `Bearer ${$("key").value.trim()}` } : {});

async function describe() {
  $("about").textContent = "";
  if (root.dataset.keys === "wanted" && !$("key").value) return;
  try {
    const response = await fetch("info", { headers: authorization() });
    if (!response.ok) return;
    const info = await response.json();
    $("about").textContent = `${info.served_model_name} · ${info.backend.name}, ${info.model_dtype} · ${info.backend.device.split(",")[0]}`;
    $("about").title = info.backend.device;
  } catch { /* ranking will show the reason */ }
}

function offerModels(names) {
  if (names.length < 2 || names.length === $("model").options.length) return;
  $("model").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  $("model-field").hidden = false;
}

// ---- Ranking ----

// documents returns the lines that are not blank, and the place of each in the field.
function documents() {
  const found = [];
  let start = 0;
  for (const line of $("documents").value.split("\n")) {
    if (line.trim()) found.push({ text: line.trim(), start, end: start + line.length });
    start += line.length + 1;
  }
  return found;
}
const count = () => { $("count").textContent = plural(documents().length, "line"); };
$("documents").oninput = count;
count();

let busy = false;
async function rank() {
  if (busy) return;
  busy = true;
  $("go").setAttribute("aria-disabled", "true");
  $("result").setAttribute("aria-busy", "true");
  clearError();
  try {
    await ask(documents());
  } catch (error) {
    showError("No answer", `${error.message}.`);
  }
  busy = false;
  $("go").removeAttribute("aria-disabled");
  $("result").removeAttribute("aria-busy");
}

async function ask(asked) {
  const body = { query: $("query").value, documents: asked.map((d) => d.text), raw_scores: $("raw").checked };
  if (!$("model-field").hidden) body.model = $("model").value;
  const begin = performance.now();
  const response = await fetch("v1/rerank", {
    method: "POST", headers: { "Content-Type": "application/json", ...authorization() }, body: JSON.stringify(body),
  });
  const answer = await response.json();
  const elapsed = performance.now() - begin;
  if (!response.ok) return refused(response, answer, asked);
  show(answer, asked, response.headers, elapsed);
}

function refused(response, answer, asked) {
  if (response.status === 401) $("key-field").hidden = false;
  const [, name, index] = /`(\w+)(?:\[(\d+)\])?`/.exec(answer.message ?? "") ?? [];
  const wait = response.headers.get("Retry-After");
  const later = wait && response.status !== 401 ? ` Try again in ${plural(Number(wait), "second")}.` : "";
  const message = response.status === 401 && !$("key").value ? "this server wants an API key" : answer.message ?? "no reason given";
  showError(`${response.status} ${answer.error_type ?? response.statusText}`, `${message}.${later}`);
  const field = response.status === 401 ? $("key") : ["query", "documents", "model"].includes(name) ? $(name) : null;
  if (!field) return;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-errormessage", "error");
  field.focus();
  const at = index === undefined ? undefined : asked[Number(index)];
  if (at) field.setSelectionRange(at.start, at.end);
}

// showError shows names in the message's backquotes as code.
function showError(title, message) {
  const parts = message.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
  $("error").replaceChildren(element("strong", {}, `${title}: `), ...parts);
  $("error").hidden = false;
}

function clearError() {
  $("error").hidden = true;
  for (const field of document.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-errormessage");
  }
}

function show(answer, asked, headers, elapsed) {
  const scores = answer.results.map((r) => r.relevance_score);
  const raw = scores.some((s) => s < 0 || s > 1);
  const [low, high] = raw ? [Math.min(...scores), Math.max(...scores)] : [0, 1];
  $("ranking").replaceChildren(...answer.results.map((result, i) => {
    const fill = element("span");
    fill.style.width = `${high > low ? (100 * (result.relevance_score - low)) / (high - low) : 100}%`;
    return element("li", {},
      element("span", { class: "rank number" }, String(i + 1)),
      element("p", { title: asked[result.index].text }, asked[result.index].text),
      element("span", { class: "score number" }, result.relevance_score.toFixed(raw ? 2 : 4).replace("-", "−")),
      element("div", { class: "bar", "aria-hidden": "true" }, fill));
  }));
  const times = [["Round trip", `${number(elapsed, elapsed < 10 ? 1 : 0)} ms`]];
  for (const [label, name] of [["Tokenising", "X-Tokenization-Time"], ["Computing", "X-Inference-Time"]]) {
    const value = headers.get(name);
    if (value) times.push([label, value === "0" ? "< 1 ms" : `${value} ms`]);
  }
  times.push(["Tokens", number(answer.usage.total_tokens)]);
  if (raw) times.push(["Bars", "from the lowest to the highest score"]);
  $("times").replaceChildren(...times.map(([label, value]) =>
    element("div", {}, element("dt", {}, label), element("dd", { class: "number" }, value))));
  $("times").hidden = false;
  $("empty").hidden = true;
  $("summary").textContent = `${plural(scores.length, "document")} in ${times[0][1]}`;
}

$("form").onsubmit = (event) => { event.preventDefault(); rank(); };
$("form").onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); rank(); }
};

// ---- Live ----

const every = 2000; // ms
const kept = 61; // samples: two minutes
const span = 5; // samples for a quantile

// parse sums each metric over all labels; of a histogram it has the buckets, by their upper bounds.
function parse(text) {
  const sums = {}, buckets = new Map(), models = [];
  for (const line of text.split("\n")) {
    const [, name, labels, value] = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    if (!name) continue;
    if (name === "te_request_duration_bucket") {
      const bound = /le="([^"]+)"/.exec(labels)[1];
      buckets.set(bound === "+Inf" ? Infinity : Number(bound), Number(value));
    } else if (name === "metalrank_model_info") {
      models.push(JSON.parse(/model=("(?:[^"\\]|\\.)*")/.exec(labels)[1]));
    } else {
      sums[name] = (sums[name] ?? 0) + Number(value);
    }
  }
  return { sums, buckets, models, at: performance.now() };
}

// quantile of the requests counted between two samples, in ms; null if there were none.
function quantile(q, before, after) {
  const bounds = [...after.buckets.keys()].sort((a, b) => a - b);
  const counts = bounds.map((b) => after.buckets.get(b) - (before.buckets.get(b) ?? 0));
  const target = q * counts.at(-1);
  if (!(target > 0)) return null;
  const i = counts.findIndex((c) => c >= target);
  const low = i ? bounds[i - 1] : 0, below = i ? counts[i - 1] : 0;
  if (bounds[i] === Infinity) return 1000 * low;
  return 1000 * (low + ((bounds[i] - low) * (target - below)) / (counts[i] - below));
}

const rate = (name) => (before, after) =>
  Math.max(0, (1000 * ((after.sums[name] ?? 0) - (before.sums[name] ?? 0))) / (after.at - before.at));
const gauge = (name) => (_, after) => after.sums[name] ?? 0;
const charts = [
  { title: "Throughput", lines: [{ label: "pairs/s", of: rate("metalrank_model_pairs_total"), area: true }] },
  { title: "Queue", lines: [{ label: "tokens waiting", of: gauge("metalrank_model_queue_tokens"), area: true }] },
  {
    title: "Latency of requests, last 10 s",
    unit: " ms",
    lines: [
      { label: "ms median", of: (_, after, old) => quantile(0.5, old, after) },
      { label: "ms p99", of: (_, after, old) => quantile(0.99, old, after) },
    ],
  },
];
for (const chart of charts) {
  chart.plot = element("svg", { class: "plot", role: "img" });
  chart.now = element("div", { class: "now" });
  chart.lines.forEach((line, i) => {
    line.class = "ab"[i];
    line.values = Array(kept).fill(null);
    line.shown = element("b", {}, "…");
    const key = chart.lines.length > 1 ? [element("i", { class: line.class })] : [];
    chart.now.append(element("span", {}, ...key, line.shown, ` ${line.label}`));
  });
  $("charts").append(element("div", { class: "card" }, element("h3", {}, chart.title), chart.now, chart.plot));
}

// ceiling is the least of 1, 2, 5, 10, 20… that is not below x.
function ceiling(x) {
  const power = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].map((m) => m * power).find((c) => c >= x * 0.9999);
}
const short = (x) => (x >= 1e6 ? `${number(x / 1e6, 1)}M` : x >= 1e4 ? `${number(x / 1e3, 1)}k` : number(x, x < 10 ? 1 : 0));

function draw(chart) {
  const width = chart.plot.clientWidth, height = chart.plot.clientHeight;
  const left = 44, right = width - 8, top = 8, bottom = height - 22;
  const most = Math.max(...chart.lines.flatMap((line) => line.values.filter((v) => v !== null)), 0);
  const scale = ceiling(Math.max(most, 1));
  const x = (i) => left + ((right - left) * i) / (kept - 1), y = (v) => bottom - ((bottom - top) * v) / scale;
  const parts = [];
  for (const part of [0, 0.5, 1]) {
    parts.push(element("line", { class: part ? "grid" : "axis", x1: left, x2: right, y1: y(part * scale), y2: y(part * scale) }),
      element("text", { x: left - 7, y: y(part * scale) + 4, "text-anchor": "end" }, short(part * scale)));
  }
  for (const ago of [120, 60, 0]) {
    const at = x(kept - 1 - (1000 * ago) / every);
    parts.push(element("text", { x: at, y: height - 5, "text-anchor": ago === 120 ? "start" : ago ? "middle" : "end" }, ago ? `−${ago} s` : "now"));
  }
  for (const line of chart.lines) parts.push(...curve(line, x, y, bottom));
  chart.plot.replaceChildren(...parts);
  const last = chart.lines.map((line) => `${line.values.at(-1) === null ? "no" : short(line.values.at(-1))} ${line.label}`);
  chart.plot.setAttribute("aria-label", `${chart.title} over two minutes: now ${last.join(", ")}; at most ${short(most)}${chart.unit ?? ""}`);
  for (const line of chart.lines) line.shown.textContent = line.values.at(-1) === null ? "…" : short(line.values.at(-1));
}

// curve is a line, with a gap where there is no value.
function curve(line, x, y, bottom) {
  const pieces = [];
  line.values.forEach((v, i) => {
    if (v === null) return;
    if (i === 0 || line.values[i - 1] === null) pieces.push([]);
    pieces.at(-1).push([x(i).toFixed(1), y(v).toFixed(1)]);
  });
  const paths = [];
  for (const piece of pieces) {
    const stroke = `M${piece.map((p) => p.join(" ")).join("L")}`;
    if (line.area) paths.push(element("path", { class: `area ${line.class}`, d: `${stroke}L${piece.at(-1)[0]} ${bottom}L${piece[0][0]} ${bottom}Z` }));
    paths.push(element("path", { class: line.class, d: piece.length > 1 ? stroke : `${stroke}h0.1` }));
  }
  return paths;
}

const samples = [];
let timer;
async function sample() {
  clearTimeout(timer);
  if (document.hidden) return;
  let note = "every 2 seconds, for all clients and models together";
  try {
    const response = await fetch("metrics", { headers: { Accept: "text/plain" } });
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    samples.push(parse(await response.text()));
    samples.splice(0, samples.length - 1 - span);
    offerModels(samples.at(-1).models);
  } catch (error) {
    samples.length = 0;
    note = `No metrics (${error.message}); trying on`;
  }
  if ($("live-note").textContent !== note) $("live-note").textContent = note;
  for (const chart of charts) {
    for (const line of chart.lines) {
      line.values.shift();
      line.values.push(samples.length > 1 ? line.of(samples.at(-2), samples.at(-1), samples[0]) : null);
    }
    draw(chart);
  }
  timer = setTimeout(sample, every);
}

describe();
if (root.dataset.metrics === "private") {
  $("charts").remove();
  $("live-note").textContent = "This server gives its metrics to its administrators alone.";
} else {
  new ResizeObserver(() => charts.forEach(draw)).observe($("charts"));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { samples.length = 0; sample(); } });
  sample();
}
