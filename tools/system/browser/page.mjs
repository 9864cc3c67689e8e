// Drives the page at "/" in headless Chromium as a person would, against servers that it starts itself; `./build.sh
// browser` sets all of that up. It takes the program metalrank, Chromium and a folder for screenshots, prints a line for
// each check, and fails on the first wrong one.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { chromium } from "playwright-core";

const [program, executablePath, folder] = process.argv.slice(2);
const patience = 30_000; // ms
const grown = 500; // ms, after which bars have their full length
const key = "a-key-for-the-browser";
// The embedded model must put this line first, in any order of the lines; the rest follow by score.
const best = "Rinse the kettle with vinegar to remove limescale.";
const lines = ["The train leaves at nine.", best, "<b>Tea</b> & \"toast\" are on the table."];

async function startServer(env = {}, ...flags) {
  const child = spawn(program, ["serve", "--listen", "127.0.0.1:0", ...flags], { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"] });
  process.once("exit", () => child.kill("SIGKILL")); // where a check has failed before it stopped its server
  let log = "";
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const address = await new Promise((resolve, reject) => {
    child.stderr.setEncoding("utf8").on("data", (text) => {
      log += text;
      const found = /msg=serving address=(\S+)/.exec(log);
      if (found) resolve(`http://${found[1]}/`);
    });
    ended.then((code) => reject(new Error(`the server ended with ${code}: ${log}`)));
  });
  const stop = async () => {
    child.kill("SIGTERM");
    assert.equal(await ended, 0, log);
  };
  return { address, stop };
}

// open shows the page. It collects the messages of the console in `said`, and requests to others in `outside`.
async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light", ...options });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const said = [], outside = [];
  page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => said.push(error.message));
  page.on("request", (request) => { if (!request.url().startsWith(address) && !request.url().startsWith("data:")) outside.push(request.url()); });
  const response = await page.goto(address);
  assert.equal(response.status(), 200);
  return { page, said, outside, close: () => context.close() };
}

const shown = (page) => page.locator(".ranking li p").allTextContents();
const scores = async (page) => (await page.locator(".ranking .score").allTextContents()).map((s) => Number(s.replace("−", "-")));

// ranks puts in a query and ranks by mouse.
async function ranks(page) {
  await page.getByLabel("Query").fill("how do I remove limescale from a kettle?");
  await page.getByLabel("Documents").fill(lines.join("\n\n"));
  await page.getByRole("button", { name: "Rank" }).click();
  await page.locator(".ranking li").first().waitFor();
}

const checks = {
  async "a query is ranked, in the order that the API gives"({ browser, address }) {
    const { page, said, outside, close } = await open(browser, address);
    await ranks(page);
    const response = await fetch(`${address}v1/rerank`, {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query: "how do I remove limescale from a kettle?", documents: lines }),
    });
    const { results } = await response.json();
    assert.equal(lines[results[0].index], best);
    assert.deepEqual(await shown(page), results.map((r) => lines[r.index]));
    (await scores(page)).forEach((s, i) => assert.ok(Math.abs(s - results[i].relevance_score) < 1e-3, `score ${i}`));
    await page.waitForTimeout(grown);
    const widths = await page.locator(".bar").evaluateAll((bars) => bars.map((b) => b.firstChild.getBoundingClientRect().width / b.getBoundingClientRect().width));
    results.forEach((r, i) => assert.ok(Math.abs(widths[i] - r.relevance_score) < 0.02, `bar ${i}: ${widths[i]}`));
    assert.match(await page.getByRole("status").textContent(), /^3 documents in .* ms$/);
    await page.getByLabel("Raw scores").check();
    await page.getByRole("button", { name: "Rank" }).click();
    await page.getByText("from the lowest to the highest score").waitFor();
    assert.equal((await shown(page))[0], best);
    assert.deepEqual(said, []);
    assert.deepEqual(outside, []);
    await close();
  },

  async "all of it by keyboard"({ browser, address }) {
    const { page, said, close } = await open(browser, address);
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
    const order = [];
    for (let i = 0; i < 7; i++) {
      await page.keyboard.press("Tab");
      order.push(await focused());
    }
    assert.deepEqual(order, ["Skip to the ranking", "API", "theme", "query", "documents", "raw", "go"]);
    for (let i = 0; i < 3; i++) await page.keyboard.press("Shift+Tab");
    assert.equal(await focused(), "query");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("when does the train leave?");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Control+A");
    await page.keyboard.insertText(lines.join("\n"));
    await page.keyboard.press("Control+Enter");
    await page.locator(".ranking li").nth(2).waitFor();
    assert.equal((await shown(page))[0], lines[0]);
    await page.locator("#theme").focus();
    for (const [theme, scheme] of [["light", "light"], ["dark", "dark"]]) {
      await page.keyboard.press("Enter");
      assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), scheme);
      assert.equal(await page.locator("#theme").textContent(), `Theme: ${theme}`);
    }
    assert.deepEqual(said, []);
    await close();
  },

  async "a refusal names the field"({ browser, address, screenshot }) {
    const { page, close } = await open(browser, address);
    await page.getByLabel("Documents").fill("\n");
    await page.getByRole("button", { name: "Rank" }).click();
    const alert = page.getByRole("alert");
    await alert.waitFor();
    assert.match(await alert.textContent(), /^400 Empty: documents cannot be empty\.$/);
    assert.equal(await alert.locator("code").textContent(), "documents");
    assert.equal(await page.getByLabel("Documents").getAttribute("aria-invalid"), "true");
    assert.equal(await page.evaluate(() => document.activeElement.id), "documents");
    await screenshot(page, "error");
    await ranks(page);
    assert.equal(await alert.count(), 0);
    await close();
  },

  async "a server that is gone is said to be"({ browser, start }) {
    const server = await start();
    const { page, close } = await open(browser, server.address);
    await server.stop();
    await page.getByRole("button", { name: "Rank" }).click();
    await page.getByRole("alert").getByText("No answer").waitFor();
    await page.getByText("No metrics").waitFor();
    await close();
  },

  async "with an API key, kept no longer than the tab"({ browser, start, screenshot }) {
    const server = await start({ METALRANK_API_KEYS: `browser:${key}` });
    const { page, said, close } = await open(browser, server.address);
    assert.deepEqual(said, []); // nothing is asked for that would be refused
    await page.getByRole("button", { name: "Rank" }).click();
    await page.getByText("wants an API key").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "key");
    await screenshot(page, "key");
    await page.keyboard.type(key);
    await page.keyboard.press("Enter");
    await page.locator(".ranking li").first().waitFor();
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage)).then((s) => s.includes(key)), false);
    await page.reload();
    assert.equal(await page.getByLabel("API key").inputValue(), key);
    await close();
    await server.stop();
  },

  async "without public metrics, no charts and no complaints"({ browser, start }) {
    const server = await start({}, "--admin-listen", "127.0.0.1:0");
    const { page, said, close } = await open(browser, server.address);
    await page.getByText("to its administrators alone").waitFor();
    await ranks(page);
    assert.deepEqual(said, []);
    await close();
    await server.stop();
  },

  async "charts move under load; light, dark and narrow"({ browser, address, screenshot }) {
    const views = [["light", {}], ["dark", { colorScheme: "dark" }], ["narrow", { viewport: { width: 360, height: 740 } }]];
    const opened = [];
    for (const [name, options] of views) opened.push([name, await open(browser, address, options)]);
    await new Promise((resolve) => setTimeout(resolve, 4500)); // two samples of a quiet server
    const before = await opened[0][1].page.locator(".plot").evaluateAll((plots) => plots.map((p) => p.getAttribute("aria-label")));
    const end = Date.now() + 13_000;
    const body = JSON.stringify({ query: "kettle", documents: Array(12).fill(best + " ".repeat(3) + lines[0]) });
    const load = Promise.all(Array.from({ length: 6 }, async () => {
      while (Date.now() < end) {
        const response = await fetch(`${address}v1/rerank`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
        assert.equal(response.status, 200);
        await response.arrayBuffer();
      }
    }));
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    const after = await opened[0][1].page.locator(".plot").evaluateAll((plots) => plots.map((p) => p.getAttribute("aria-label")));
    const [throughput, queue, latency] = after;
    assert.match(before[0], /now 0 pairs\/s/);
    assert.match(before[2], /now no ms median/);
    assert.ok(Number(/now ([\d.]+)k? pairs/.exec(throughput)?.[1]) > 0, throughput);
    assert.ok(!/at most 0$/.test(queue), queue);
    assert.ok(Number(/now ([\d.,]+)k? ms median/.exec(latency)?.[1].replace(",", "")) > 0, latency);
    assert.ok(await opened[0][1].page.locator(".plot path.area").count() >= 2);
    for (const [name, { page, said, close }] of opened) {
      await ranks(page);
      await page.waitForTimeout(grown);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${name} scrolls sideways`);
      assert.deepEqual(await contrasts(page), [], name);
      await screenshot(page, name);
      await page.goto(`${address}docs`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `/docs, ${name}, scrolls sideways`);
      assert.deepEqual(await contrasts(page), [], `/docs, ${name}`);
      await page.screenshot({ path: path.join(folder, `docs-${name}.png`) });
      assert.deepEqual(said, []);
      await close();
    }
    await load;
  },
};

// contrasts lists texts with a contrast of less than 4.5 to 1 to their background (WCAG 2.2, 1.4.3).
const contrasts = (page) => page.evaluate(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgb = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (channels) => {
    const [r, g, b] = channels.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("script, noscript, option")) continue;
    const under = [];
    for (let at = element; at; at = at.parentElement) under.unshift(getComputedStyle(at).backgroundColor);
    const style = getComputedStyle(element);
    const paper = luminance(rgb(under)), ink = luminance(rgb([element instanceof SVGElement ? style.fill : style.color]));
    const contrast = (Math.max(paper, ink) + 0.05) / (Math.min(paper, ink) + 0.05);
    if (contrast < 4.5) poor.push(`${contrast.toFixed(2)}: ${element.textContent.trim().slice(0, 40)}`);
  }
  return poor;
});

await mkdir(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
let failed = false;
try {
  const server = await startServer();
  const screenshot = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
  for (const [name, check] of Object.entries(checks)) {
    await check({ browser, address: server.address, start: startServer, screenshot });
    console.log(`right  ${name}`);
  }
  await server.stop();
} catch (error) {
  console.log(`WRONG  ${error.stack}`);
  failed = true;
}
await browser.close();
console.log(`screenshots: ${folder}`);
process.exit(failed ? 1 : 0);
